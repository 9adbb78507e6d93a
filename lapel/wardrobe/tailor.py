"""Cuts a garment to a skeleton: the pieces of cloth, where they lie and which way their pattern runs."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

import skia

from lapel.wardrobe.body import Point, Skeleton
from lapel.wardrobe.canvas import mirrored, polygon, smooth
from lapel.wardrobe.garment import Garment
from lapel.wardrobe.vocabulary import LOWER

HEMS = {"cropped": 0.2, "short": 0.27, "regular": 0.335, "long": 0.39, "coat": 0.53}
DRESS_HEMS = {"short": 0.46, "regular": 0.57, "midi": 0.66, "long": 0.74}
SKIRT_HEMS = {"short": 0.44, "regular": 0.56, "midi": 0.65, "long": 0.74}
"""By `Garment.length`, below the neck. Sampled garments are short, regular or long."""

SLEEVES = {"short": (0.62, 0.068), "three quarter": (1.5, 0.052), "long": (1.94, 0.043)}
"""By `Garment.sleeve`: where it ends (1 is the elbow, 2 the wrist), and how wide. Sampled ones are short or long."""

LEGS = {"shorts": (0.52, 0.11), "trousers": (1.93, 0.062)}
"""By kind: where legs end (1 is the knee, 2 the ankle), and how wide."""
CUT_LEGS = {"short": (0.34, 0.116), "midi": (1.0, 0.09), "cropped": (1.5, 0.074)}
"""By `Garment.length`, where it is none of the sampled ones."""
WAIST = 0.215
"""Where skirts and trousers begin, below the neck."""


@dataclass
class Piece:
    """One piece of cloth."""

    path: skia.Path
    axis: skia.Matrix = field(default_factory=skia.Matrix)
    """From the piece's own axes (y along it) to the body's."""
    trimmed: bool = False
    """Whether it takes the colour of the trimmings."""
    sleeve: bool = False
    in_front: bool = False
    """Whether a sleeve lies before the body."""
    edged: bool = True
    """Whether its edge is seen where other cloth of the garment lies beside it."""


@dataclass
class Cut:
    """A garment cut to a skeleton, from the lowest piece to the topmost."""

    pieces: list[Piece]
    seams: list[skia.Path] = field(default_factory=list)
    """Lines to draw on top: plackets, pockets, fly."""
    buttons: list[Point] = field(default_factory=list)
    chest: Point = (0.0, 0.15)
    """Where a print goes."""

    @functools.cached_property
    def outline(self) -> skia.Path:
        """All pieces as one path; asked for when the last piece is there."""
        whole = skia.OpBuilder()
        for piece in self.pieces:
            whole.add(piece.path, skia.PathOp.kUnion_PathOp)
        return whole.resolve()


def cut(garment: Garment, skeleton: Skeleton, back: bool) -> Cut:
    """Cut the garment for a body in its pose; `back` shows its other side."""
    if garment.kind in LOWER:
        return _cut_skirt(garment, skeleton, back) if garment.kind == "skirt" else _cut_legs(garment, skeleton, back)
    return _cut_upper(garment, skeleton, back)


def limb(
    joints: tuple[Point, Point, Point], until: float, widths: tuple[float, float], after: float = 0.0
) -> skia.Path:
    """A tapered tube along a limb.

    Args:
        joints: shoulder, elbow and wrist, or hip, knee and ankle.
        until: where it ends: 1 is the middle joint, 2 the last one.
        widths: full width at the start and at the end.
        after: where it begins, on the same scale.
    """
    stops = sorted({after, *(stop for stop in (1.0,) if after < stop < until), until})
    points = [_along(joints, stop) for stop in stops]
    left, right = [], []
    for number, (x, y) in enumerate(points):
        before, behind = points[max(number - 1, 0)], points[min(number + 1, len(points) - 1)]
        length = math.hypot(behind[0] - before[0], behind[1] - before[1]) or 1.0
        normal = ((behind[1] - before[1]) / length, (before[0] - behind[0]) / length)
        half = (widths[0] + (widths[1] - widths[0]) * (stops[number] - after) / (until - after)) / 2
        left.append((x + normal[0] * half, y + normal[1] * half))
        right.append((x - normal[0] * half, y - normal[1] * half))
    return polygon([*left, *reversed(right)])


def lies_in_front(arm: tuple[Point, Point, Point], skeleton: Skeleton) -> bool:
    """Whether an arm ends before the body."""
    return abs(arm[2][0]) < skeleton.shoulder + 0.03


def _along(joints: tuple[Point, Point, Point], stop: float) -> Point:
    start, end = (joints[0], joints[1]) if stop <= 1 else (joints[1], joints[2])
    share = stop if stop <= 1 else stop - 1
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def _axis(joints: tuple[Point, Point, Point]) -> skia.Matrix:
    """Along the upper limb, so that stripes go round it."""
    (x, y), (u, v) = joints[0], joints[1]
    turn = math.degrees(math.atan2(v - y, u - x)) - 90
    return skia.Matrix.Translate(x, y).preConcat(skia.Matrix.RotateDeg(turn))


def _cut_upper(garment: Garment, skeleton: Skeleton, back: bool) -> Cut:
    thick = 0.008 if garment.kind in ("hoodie", "jacket") else 0.0
    hem = DRESS_HEMS[garment.length] if garment.kind == "dress" else HEMS[garment.length]
    arms = (skeleton.right_arm, skeleton.left_arm) if garment.sleeve != "none" else ()
    pieces = [_sleeve(garment, joints, skeleton, thick) for joints in arms]
    torso = Piece(_torso(garment, skeleton, back, hem, thick))
    pieces = [*(p for p in pieces if not p.in_front), torso, *(p for p in pieces if p.in_front)]
    result = Cut(pieces)
    if garment.hood:
        # Behind the neck when seen from the front, hanging on the back otherwise.
        hood = smooth(mirrored([(0.075, -0.045), (0.085, 0.03), (0.05, 0.1 if back else 0.05)]))
        result.pieces.insert(len(pieces) if back else 0, Piece(hood, trimmed=True))
    if garment.neckline == "turtle":
        result.pieces.append(Piece(polygon(mirrored([(0.042, -0.03), (0.046, 0.02)])), trimmed=True))
    if garment.collar:
        result.pieces += _collar(back)
    if garment.kind in ("hoodie", "jacket"):
        half = skeleton.shoulder + 0.012 + thick
        rib = polygon(mirrored([(half, hem - 0.022), (half - 0.004, hem + 0.004)]))
        result.pieces.append(Piece(rib, trimmed=True))
    if not back:
        _close(garment, result, hem)
    return result


def _torso(garment: Garment, skeleton: Skeleton, back: bool, hem: float, thick: float) -> skia.Path:
    shoulder, waist = skeleton.shoulder + thick, skeleton.shoulder - 0.012 + thick
    neck = {"scoop": 0.055, "v": 0.042}.get(garment.neckline, 0.04)
    depth = {"crew": 0.03, "v": 0.085, "scoop": 0.075, "turtle": 0.01}.get(garment.neckline, 0.03)
    depth = min(depth, 0.018) if back else depth
    tip = shoulder + 0.014 if garment.sleeve != "none" else shoulder - 0.022
    armpit = shoulder + 0.006
    right: list[Point] = [
        (neck, 0.0),
        (tip, 0.024 if garment.sleeve != "none" else 0.014),
        (armpit, 0.11),
        (waist, WAIST - 0.02),
    ]
    if garment.kind == "dress":
        flare = 0.05 + 0.17 * (hem - WAIST)
        right += [(skeleton.shoulder + flare, hem)]
    else:
        right += [(shoulder + 0.004, hem)]
    path = skia.Path()
    path.moveTo(-neck, 0)
    for x, y in ((-x, y) for x, y in right[1:]):
        path.lineTo(x, y)
    path.quadTo(0, hem + 0.012, *right[-1])
    for x, y in reversed(right[:-1]):
        path.lineTo(x, y)
    if garment.neckline == "v" and not back:
        path.lineTo(0, depth)
    else:
        path.cubicTo(neck * 0.9, depth * 1.33, -neck * 0.9, depth * 1.33, -neck, 0)
    path.close()
    return path


def _sleeve(garment: Garment, joints: tuple[Point, Point, Point], skeleton: Skeleton, thick: float) -> Piece:
    until, end = SLEEVES[garment.sleeve]
    end += thick if garment.sleeve != "short" else 0.0
    sleeve = limb(joints, until, (0.082 + thick, end), after=-0.06)
    return Piece(sleeve, _axis(joints), sleeve=True, in_front=lies_in_front(joints, skeleton))


def _collar(back: bool) -> list[Piece]:
    if back:
        return [Piece(polygon(mirrored([(0.05, -0.022), (0.05, 0.014)])), trimmed=True)]
    flap = [(0.044, -0.024), (0.062, 0.014), (0.028, 0.056), (0.0, 0.022), (0.03, -0.01)]
    return [Piece(polygon([(sign * x, y) for x, y in flap]), trimmed=True) for sign in (-1, 1)]


def _close(garment: Garment, result: Cut, hem: float) -> None:
    if garment.closure != "none":
        result.seams.append(polygon([(0, 0.03), (0, hem)], close=False))
    if garment.closure == "buttons":
        result.buttons = [(0.012, 0.06 + 0.05 * number) for number in range(round((hem - 0.06) / 0.05))]
    if garment.kind == "hoodie":
        result.seams.append(polygon([(-0.05, 0.225), (0.05, 0.225), (0.07, 0.3), (-0.07, 0.3)]))
    elif garment.kind == "jacket":
        result.seams += [polygon([(sign * 0.045, 0.25), (sign * 0.08, 0.235)], close=False) for sign in (-1, 1)]


def _cut_legs(garment: Garment, skeleton: Skeleton, back: bool) -> Cut:
    until, end = CUT_LEGS.get(garment.length, LEGS[garment.kind])
    waist, half, crotch = skeleton.shoulder - 0.014, skeleton.hip + 0.05, 0.37
    limbs = (skeleton.right_leg, skeleton.left_leg)
    legs = [Piece(limb(joints, until, (0.122, end)), _axis(joints)) for joints in limbs]
    hips = polygon(mirrored([(waist, WAIST), (half + 0.012, 0.31), (half, 0.345), (0, crotch)]))
    band = polygon(mirrored([(waist, WAIST), (waist + 0.003, WAIST + 0.022)]))
    result = Cut([*legs, Piece(hips, edged=False), Piece(band, trimmed=True)])
    result.seams.append(polygon([(0, WAIST + 0.02), (0, crotch)], close=False))
    if garment.pockets:
        inner, outer = (0.03, 0.07) if back else (0.05, 0.088)
        slits = [[(sign * inner, 0.25), (sign * outer, 0.25 if back else 0.285)] for sign in (-1, 1)]
        result.seams += [polygon(slit, close=False) for slit in slits]
    return result


def _cut_skirt(garment: Garment, skeleton: Skeleton, back: bool) -> Cut:
    hem, waist = SKIRT_HEMS[garment.length], skeleton.shoulder - 0.014
    flare = waist + 0.03 + 0.22 * (hem - WAIST)
    path = skia.Path()
    path.moveTo(-waist, WAIST)
    path.lineTo(waist, WAIST)
    path.quadTo(waist + 0.03, WAIST + 0.06, flare, hem)
    path.quadTo(0, hem + 0.025, -flare, hem)
    path.quadTo(-waist - 0.03, WAIST + 0.06, -waist, WAIST)
    path.close()
    band = polygon(mirrored([(waist, WAIST), (waist + 0.004, WAIST + 0.022)]))
    zip_line = polygon([(0, WAIST), (0, WAIST + 0.09)], close=False)
    return Cut([Piece(path), Piece(band, trimmed=True)], seams=[zip_line] if back else [])

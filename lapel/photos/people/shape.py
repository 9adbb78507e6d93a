"""Where a garment lies on a person: its area, from its words and the wearer's pose."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from lapel.photos.masks.places import part_of
from lapel.photos.people.pose import Point, Pose

Bools = npt.NDArray[np.bool_]

SLEEVES = {"sleeveless": 0.0, "short sleeve": 0.75, "three quarter sleeve": 1.5, "raglan": 1.9, "long sleeve": 1.95}
"""Down to where sleeves reach: 1 is the elbow, 2 the wrist."""

LENGTHS = {"cropped": 0.7, "mini": 0.6, "knee length": 1.0, "midi": 1.5, "maxi": 1.9}
"""Down to where skirts, dresses and legs reach: 0 is the hip, 1 the knee, 2 the ankle."""

_SLEEVELESS = ("tank top", "vest", "swimsuit")
_SHORT_SLEEVED = ("t-shirt", "polo shirt", "dress")
_LEGS = {"shorts": 0.65, "capri pants": 1.5}
_WHOLE = {"swimsuit": 0.1, **dict.fromkeys(("suit", "jumpsuit", "overalls", "pyjamas"), LENGTHS["maxi"])}
_WAIST = 0.3
"""Of the way from the hips to the neck."""
_HIGH = 0.36
_HIGH_NECKS = ("turtle neck", "hood", "band collar")
_HOODED = ("hoodie",)
_HEM, _HANGS = 0.4, 0.15
"""An upper garment's, below the hip: down to where it may reach, and where it usually ends."""


@dataclass(frozen=True)
class Shape:
    """What of a person a garment covers."""

    part: str
    """upper, whole, legs, shorts, skirt or thing, as `part_of` says."""
    sleeves: float
    """As `SLEEVES` has it."""
    length: float
    """As `LENGTHS` has it."""
    neck: float = 0.14
    """How far it reaches above the neck's root, in widths of the shoulders: to the chin it is about 0.4."""

    @property
    def on_legs(self) -> bool:
        """Whether it is worn below the waist only."""
        return self.part in ("legs", "shorts", "skirt")


def shape_of(class_word: str, attributes: Mapping[str, str]) -> Shape:
    """The shape that words tell; what they do not tell is as such garments usually are."""
    part = part_of(class_word)
    usual = (
        0.0 if class_word in _SLEEVELESS else SLEEVES["short sleeve" if class_word in _SHORT_SLEEVED else "long sleeve"]
    )
    sleeves = SLEEVES.get(attributes.get("sleeves", ""), usual)
    reach = {"upper": _HEM, "whole": LENGTHS["midi"], "skirt": LENGTHS["midi"], "legs": LENGTHS["maxi"]}.get(part, _HEM)
    known = {"cropped": 0.0} if part == "upper" else LENGTHS
    length = known.get(attributes.get("length", ""), {**_LEGS, **_WHOLE}.get(class_word, reach))
    high = class_word in _HOODED or not {attributes.get("neckline"), attributes.get("collar")}.isdisjoint(_HIGH_NECKS)
    neck = {"neck": _HIGH} if high else {}
    return Shape(part, 0.0 if part in ("legs", "shorts", "skirt") else sleeves, length, **neck)


def loosest(shape: Shape) -> tuple[Shape, ...]:
    """The shapes of what somebody may wear where a garment of this one is to go, at their longest."""
    longest = dataclasses.replace(shape, sleeves=SLEEVES["long sleeve"], neck=_HIGH)
    on_legs = (Shape("legs", 0.0, LENGTHS["maxi"]), Shape("skirt", 0.0, LENGTHS["midi"]))
    return on_legs if shape.on_legs else (longest, *on_legs) if shape.part == "whole" else (longest,)


@dataclass(frozen=True)
class Body:
    """The joints that clothes hang on, in pixels; those of legs that are not in the picture are where they would be."""

    neck: Point
    arms: tuple[tuple[Point, ...], ...]
    """Shoulder, elbow, wrist of each side, as far as they are known."""
    legs: tuple[tuple[Point, Point, Point], ...]
    """Hip, knee, ankle of each side."""
    unit: float
    """The width of the shoulders, or what it would be from the front."""


def body_of(pose: Pose) -> Body | None:
    """The body of a pose; None where neither shoulders nor neck are known."""
    right, left, neck = (pose.get(name) for name in ("right shoulder", "left shoulder", "neck"))
    if right is None or left is None:
        return None
    neck = neck or _middle([right, left])
    hips = [pose.get(f"{side} hip") for side in ("right", "left")]
    across = math.dist(right, left)
    known = [hip for hip in hips if hip]
    torso = math.dist(neck, _middle(known)) if known else 1.58 * across
    unit = max(across, 0.55 * torso)
    down = 1.58 * unit if not known else torso
    legs = []
    for side, hip, shoulder in zip(("right", "left"), hips, (right, left), strict=True):
        hip = hip or (neck[0] + 0.5 * (shoulder[0] - neck[0]), neck[1] + down)
        knee = pose.get(f"{side} knee") or (hip[0], hip[1] + 1.2 * unit)
        legs.append((hip, knee, pose.get(f"{side} ankle") or (knee[0], knee[1] + 1.2 * unit)))
    arms = []
    for side, shoulder in (("right", right), ("left", left)):
        joints = [shoulder]
        for name in ("elbow", "wrist"):
            joint = pose.get(f"{side} {name}")
            if joint is None:
                break
            joints.append(joint)
        arms.append(tuple(joints))
    return Body(neck, tuple(arms), tuple(legs), unit)


def area(shape: Shape, body: Body, size: tuple[int, int]) -> Bools:
    """(h, w) where a garment of that shape may lie on the body, loosely, in a picture of that size (width, height)."""
    canvas = np.zeros((size[1], size[0]), np.uint8)
    unit = body.unit
    if not shape.on_legs:
        _torso(canvas, body, shape)
        _sleeves(canvas, body, shape.sleeves)
    if shape.part in ("whole", "skirt"):
        _skirt(canvas, body, shape.length)
    if shape.part in ("legs", "shorts"):
        _hips(canvas, body)
        for leg in body.legs:
            _tube(canvas, leg, shape.length, 0.74 * unit, (0.7 if shape.part == "shorts" else 0.44) * unit)
    return canvas > 0


def long_sleeves(body: Body, size: tuple[int, int]) -> Bools:
    """(h, w) where long sleeves may lie on the body, loosely, in a picture of that size (width, height)."""
    canvas = np.zeros((size[1], size[0]), np.uint8)
    _sleeves(canvas, body, SLEEVES["long sleeve"])
    return canvas > 0


def hem_of(shape: Shape, body: Body) -> Point:
    """The middle of the garment's lower edge, as such garments usually have it."""
    reach = min(shape.length, _HANGS) if shape.part == "upper" else shape.length
    return _middle([_along(leg, reach) for leg in body.legs])


def waist_of(body: Body) -> Point:
    """The middle of the upper edge of what is worn below the waist."""
    (x, y), (u, v) = _middle([leg[0] for leg in body.legs]), body.neck
    return x + _WAIST * (u - x), y + _WAIST * (v - y)


def palms(body: Body) -> list[Point]:
    """The middles of the hands, as far as the wrists are known."""
    found = []
    for joints in body.arms:
        if len(joints) == 3:
            (x, y), (u, v) = joints[1], joints[2]
            reach = 0.12 * body.unit / (math.hypot(u - x, v - y) or 1.0)
            found.append((u + (u - x) * reach, v + (v - y) * reach))
    return found


def hands(body: Body, size: tuple[int, int]) -> Bools:
    """(h, w) circles where the hands are, as far as the wrists are known."""
    canvas = np.zeros((size[1], size[0]), np.uint8)
    for palm in palms(body):
        cv2.circle(canvas, _pixel(palm), round(0.16 * body.unit), 255, -1)
    return canvas > 0


def head(pose: Pose, body: Body) -> Bools:
    """(h, w) face and hair, down to the chin."""
    canvas = np.zeros((pose.size[1], pose.size[0]), np.uint8)
    names = ("nose", "right eye", "left eye", "right ear", "left ear")
    points = [point for name in names if (point := pose.get(name))]
    if points:
        x, y = _middle(points)
        above = min(math.dist((x, y), body.neck), 0.75 * body.unit)
        # From well above the eyes, for hair, to the chin, which is half way down to the neck's root.
        middle, axes = (x, y - 0.3 * above), (0.62 * above, 0.95 * above)
        tilt = math.degrees(math.atan2(body.neck[0] - x, body.neck[1] - y))
        cv2.ellipse(canvas, _pixel(middle), (round(axes[0]), round(axes[1])), -tilt, 0, 360, 255, -1)
    return canvas > 0


def _torso(canvas: npt.NDArray[np.uint8], body: Body, shape: Shape) -> None:
    unit, (x, y) = body.unit, body.neck
    (right, left), (right_hip, left_hip) = (arm[0] for arm in body.arms), (leg[0] for leg in body.legs)
    out = 1 if right[0] <= left[0] else -1  # seen from the back, the right side is on the right
    wide = 0.2 if shape.sleeves else 0.04
    hems = [_along(leg, max(0.0, min(shape.length, _HEM))) for leg in body.legs]
    flare = 0.36 * unit
    outline = [
        (x - out * 0.3 * unit, y - shape.neck * unit),
        (right[0] - out * wide * unit, right[1] - 0.14 * unit),
        (right[0] - out * (wide + 0.02) * unit, right[1] + 0.4 * unit),
        (right_hip[0] - out * flare, right_hip[1]),
        (hems[0][0] - out * flare, hems[0][1]),
        (hems[1][0] + out * flare, hems[1][1]),
        (left_hip[0] + out * flare, left_hip[1]),
        (left[0] + out * (wide + 0.02) * unit, left[1] + 0.4 * unit),
        (left[0] + out * wide * unit, left[1] - 0.14 * unit),
        (x + out * 0.3 * unit, y - shape.neck * unit),
    ]
    _fill(canvas, outline)


def _sleeves(canvas: npt.NDArray[np.uint8], body: Body, until: float) -> None:
    for joints in body.arms:
        _tube(canvas, joints, until, 0.52 * body.unit, 0.36 * body.unit)


def _hips(canvas: npt.NDArray[np.uint8], body: Body) -> None:
    right, left = (leg[0] for leg in body.legs)
    out, unit = 1 if right[0] <= left[0] else -1, body.unit
    rise, flare, drop = 0.55 * unit, 0.34 * unit, 0.3 * unit
    _fill(
        canvas,
        [
            *((right[0] - out * flare, right[1] - rise), (left[0] + out * flare, left[1] - rise)),
            *((left[0] + out * flare, left[1] + drop), (right[0] - out * flare, right[1] + drop)),
        ],
    )


def _skirt(canvas: npt.NDArray[np.uint8], body: Body, length: float) -> None:
    (right, left), unit = body.legs, body.unit
    out = 1 if right[0][0] <= left[0][0] else -1
    hems = [_along(leg, length) for leg in (right, left)]
    waist, flare = 0.3 * unit, (0.55 + 0.25 * length) * unit
    _fill(
        canvas,
        [
            *(
                (right[0][0] - out * waist, right[0][1] - 0.55 * unit),
                (left[0][0] + out * waist, left[0][1] - 0.55 * unit),
            ),
            *((hems[1][0] + out * flare, hems[1][1] + 0.1 * unit), (hems[0][0] - out * flare, hems[0][1] + 0.1 * unit)),
        ],
    )


def _tube(canvas: npt.NDArray[np.uint8], joints: Sequence[Point], until: float, start: float, end: float) -> None:
    """A tapered limb from its first joint `until` that far along it."""
    if until <= 0 or len(joints) < 2:
        return
    until = min(until, len(joints) - 1)
    stops = np.linspace(0, until, max(2, round(24 * until)))
    for stop in stops:
        width = start + (end - start) * stop / 2
        cv2.circle(canvas, _pixel(_along(joints, float(stop))), max(1, round(width / 2)), 255, -1)


def _along(joints: Sequence[Point], stop: float) -> Point:
    first = min(int(stop), len(joints) - 2)
    share = stop - first
    (x, y), (u, v) = joints[first], joints[first + 1]
    return x + (u - x) * share, y + (v - y) * share


def _fill(canvas: npt.NDArray[np.uint8], outline: Sequence[Point]) -> None:
    cv2.fillPoly(canvas, [np.array(outline, np.float32).round().astype(np.int32)], 255)


def _pixel(point: Point) -> tuple[int, int]:
    return round(point[0]), round(point[1])


def _middle(points: Sequence[Point]) -> Point:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)

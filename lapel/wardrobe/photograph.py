"""Takes the photo: scene, person, garment and light on one canvas."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import skia

from lapel.wardrobe.body import FLAT_POSE, Skeleton, pose_body
from lapel.wardrobe.canvas import Canvas, paint, polygon
from lapel.wardrobe.captions import caption
from lapel.wardrobe.draws import Draws
from lapel.wardrobe.fabric import dye, mix, trim
from lapel.wardrobe.garment import Garment
from lapel.wardrobe.people import draw_arms_in_front, draw_body, draw_hands, draw_head, draw_other_clothes
from lapel.wardrobe.prints import print_path
from lapel.wardrobe.scenes import draw_scene
from lapel.wardrobe.shot import Shot
from lapel.wardrobe.tailor import Cut, Piece, cut
from lapel.wardrobe.vocabulary import BUILDS, COLOURS, LOWER, UPPER

EDGE = paint((20, 20, 30), 0.34, width=0.005)
"""Cloth has a thickness, and white on white must be seen."""


@dataclass(frozen=True)
class Photograph:
    """A photo of a garment and everything that is known of it."""

    image: np.ndarray
    """(size, size, 3) uint8, sRGB."""
    mask: np.ndarray
    """(size, size) uint8: the garment's share of each pixel, 255 for all of it."""
    parsing: np.ndarray
    """(size, size) uint8: classes of `PARSING`."""
    keypoints: np.ndarray
    """(18, 3) float32: x and y in pixels and 1, in COCO-18's order; all zero where nobody wears the garment."""
    attributes: dict[str, Any]
    """The fields of the garment and the shot."""
    caption: str


def photograph(garment: Garment, shot: Shot, size: int, framed_for: Garment | None = None) -> Photograph:
    """Photograph a garment: a pure function of its arguments, the same on every machine.

    Args:
        garment: what is seen.
        shot: how it is seen.
        size: side of the photo, in pixels.
        framed_for: whom the camera is aimed at, if not the garment itself: another garment that the same person wears
            is then seen with everything else in its place.
    """
    canvas = Canvas(size)
    canvas.set_camera(skia.Matrix.Scale(size, size), size)
    draw_scene(canvas, shot.scene, Draws(shot.seed, stream=5))
    worn = shot.view == "worn"
    skeleton = pose_body(shot.pose, BUILDS[shot.person.build]) if worn else pose_body(FLAT_POSE, 1.06)
    pattern_cut = cut(garment, skeleton, back=shot.view == "back")
    subject = framed_for or garment
    seen = cut(subject, skeleton, back=shot.view == "back") if framed_for else pattern_cut
    matrix, scale = _aim(subject, shot, seen.outline, size)
    canvas.set_camera(matrix, scale)
    if worn:
        _draw_worn(canvas, garment, shot, skeleton, pattern_cut)
    else:
        _draw_shadow(canvas, pattern_cut.outline, shot)
        _draw_garment(canvas, garment, shot, pattern_cut)
    canvas.set_camera(skia.Matrix(), 1.0)
    _light(canvas, shot)
    attributes = {"garment": asdict(garment), "shot": asdict(shot)}
    keypoints = _keypoints(skeleton, matrix) if worn else np.zeros((18, 3), np.float32)
    image = np.ascontiguousarray(canvas.image[..., :3])
    return Photograph(image, canvas.mask, canvas.parsing, keypoints, attributes, caption(garment, shot))


def _draw_worn(canvas: Canvas, garment: Garment, shot: Shot, skeleton: Skeleton, pattern_cut: Cut) -> None:
    draw_body(canvas, shot.person, skeleton)
    draw_other_clothes(canvas, shot.person, skeleton, garment)
    _draw_garment(canvas, garment, shot, pattern_cut)
    if garment.sleeve != "long":
        draw_arms_in_front(canvas, shot.person, skeleton)
        for piece in pattern_cut.pieces:
            if piece.sleeve and piece.in_front:
                _draw_piece(canvas, garment, piece, pattern_cut)
    draw_hands(canvas, shot.person, skeleton)
    draw_head(canvas, shot.person)


def _draw_garment(canvas: Canvas, garment: Garment, shot: Shot, pattern_cut: Cut) -> None:
    for piece in pattern_cut.pieces:
        _draw_piece(canvas, garment, piece, pattern_cut)
    canvas.shade(pattern_cut.outline, EDGE)
    line = paint(mix(trim(garment), (0, 0, 0), 0.35), 0.8, width=0.006)
    for seam in pattern_cut.seams if shot.view != "back" or garment.kind in LOWER else []:
        canvas.shade(seam, line)
    for button in pattern_cut.buttons:
        canvas.shade(skia.Path.Circle(*button, 0.0075), paint(mix(trim(garment), (255, 255, 255), 0.5)))
    if garment.print != "none" and shot.view != "back":
        path = print_path(garment.print, pattern_cut.chest, 0.1)
        canvas.fill(path, paint(_print_colour(garment)), "print", garment=True)
    _fold(canvas, pattern_cut, Draws(shot.folds, stream=6))


def _draw_piece(canvas: Canvas, garment: Garment, piece: Piece, pattern_cut: Cut) -> None:
    part = "dress" if garment.kind == "dress" else "upper" if garment.kind in UPPER else "lower"
    bounds = pattern_cut.outline.getBounds()
    how = paint(trim(garment)) if piece.trimmed else dye(garment, piece.axis, bounds.top(), bounds.bottom())
    canvas.fill(piece.path, how, part, garment=True)
    if piece.edged:
        canvas.shade(piece.path, EDGE)


def _print_colour(garment: Garment) -> tuple[int, int, int]:
    main = COLOURS[garment.colours[0]]
    choices = [COLOURS[name] for name in ("white", "black", "yellow", "red", "blue", "pink")]
    far = [c for c in choices if sum(abs(x - y) for x, y in zip(c, main, strict=True)) > 240]
    return Draws(garment.seed, stream=7).pick(far)


def _fold(canvas: Canvas, pattern_cut: Cut, draws: Draws) -> None:
    """Soft dark creases inside the garment's outline."""
    outline = pattern_cut.outline
    bounds = outline.getBounds()
    for _ in range(5):
        x, y = draws.uniform(bounds.left(), bounds.right()), draws.uniform(bounds.top(), bounds.bottom())
        bend, length = draws.uniform(-0.05, 0.05), draws.uniform(0.06, 0.16)
        crease = skia.Path()
        crease.moveTo(x, y)
        crease.quadTo(x + bend, y + length / 2, x + draws.uniform(-0.03, 0.03), y + length)
        canvas.shade(crease, paint((0, 0, 20), 0.07, width=0.022), within=outline)
        canvas.shade(crease, paint((0, 0, 20), 0.07, width=0.01), within=outline)


def _draw_shadow(canvas: Canvas, outline: skia.Path, shot: Shot) -> None:
    """What the garment throws on what it lies on."""
    moved = skia.Path(outline)
    moved.offset(-0.012 * math.cos(shot.light_angle), -0.014 * math.sin(shot.light_angle))
    canvas.shade(moved, paint((10, 10, 20), 0.32, blur=0.008 * canvas.pixels_per_unit))


def _aim(garment: Garment, shot: Shot, outline: skia.Path, size: int) -> tuple[skia.Matrix, float]:
    """The camera: from body units to pixels."""
    bounds = outline.getBounds()
    left, top, right, bottom = bounds.left(), bounds.top(), bounds.right(), bounds.bottom()
    if shot.view == "worn":
        top = 0.12 if garment.kind in LOWER else -0.17
        bottom = 0.86 if garment.kind in LOWER else max(bottom + 0.06, 0.42)
    elif shot.view == "detail":
        middle, half = ((left + right) / 2, top + 0.3 * (bottom - top)), 0.26 * max(right - left, bottom - top)
        left, right, top, bottom = middle[0] - half, middle[0] + half, middle[1] - half, middle[1] + half
    scale = size * shot.fill / max(right - left, bottom - top)
    x, y = (0.5 + shot.offset[0]) * size, (0.5 + shot.offset[1]) * size
    matrix = skia.Matrix.Translate(x, y).preConcat(skia.Matrix.RotateDeg(shot.rotation))
    matrix.preScale(scale, scale).preTranslate(-(left + right) / 2, -(top + bottom) / 2)
    return matrix, scale


def _keypoints(skeleton: Skeleton, matrix: skia.Matrix) -> np.ndarray:
    points = matrix.mapPoints([skia.Point(*point) for point in skeleton.keypoints()])
    return np.array([(point.x(), point.y(), 1.0) for point in points], np.float32)


def _light(canvas: Canvas, shot: Shot) -> None:
    """One light over everything: its direction, colour and strength, as a product with the picture."""
    size = canvas.size
    warm, cold = (255, 246, 232), (236, 244, 255)
    tint = mix((255, 255, 255), warm if shot.warmth > 0 else cold, abs(shot.warmth))
    bright = mix((0, 0, 0), tint, min(1.0, shot.brightness))
    dim = mix((0, 0, 0), bright, 0.86)
    x, y = math.cos(shot.light_angle) * size / 2, math.sin(shot.light_angle) * size / 2
    middle = size / 2
    ends = [skia.Point(middle + x, middle + y), skia.Point(middle - x, middle - y)]
    how = skia.Paint(BlendMode=skia.BlendMode.kMultiply)
    how.setShader(skia.GradientShader.MakeLinear(ends, [skia.Color(*bright), skia.Color(*dim)]))
    canvas.shade(polygon([(0, 0), (size, 0), (size, size), (0, size)]), how)

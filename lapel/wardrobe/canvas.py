"""One drawing, three results: the picture, the garment's mask and the parsing map.

Whatever is drawn goes to all three with the same path and matrix, so the ground truth cannot drift from the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import skia

from lapel.wardrobe.vocabulary import PARSING

RGB = tuple[int, int, int]
Points = Sequence[tuple[float, float]]


def paint(colour: RGB, alpha: float = 1.0, width: float = 0.0, blur: float = 0.0) -> skia.Paint:
    """A paint of that colour: a fill, or a round stroke of that width; `blur` is a standard deviation in pixels."""
    result = skia.Paint(AntiAlias=True, Color=skia.Color(*colour, round(alpha * 255)))
    if width:
        result.setStyle(skia.Paint.kStroke_Style)
        result.setStrokeWidth(width)
        result.setStrokeCap(skia.Paint.kRound_Cap)
        result.setStrokeJoin(skia.Paint.kRound_Join)
    if blur:
        result.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur))
    return result


def polygon(points: Points, close: bool = True) -> skia.Path:
    """Straight lines through the points."""
    path = skia.Path()
    path.addPoly([skia.Point(*point) for point in points], close)
    return path


def mirrored(right: Points) -> list[tuple[float, float]]:
    """A closed outline from its right half, from top to bottom, mirrored about x = 0."""
    return [*right, *((-x, y) for x, y in reversed(right))]


def smooth(points: Points) -> skia.Path:
    """A closed curve that rounds every corner: quadratic through the middles of the sides, the points as controls."""
    path = skia.Path()
    middles = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in zip(points, [*points[1:], points[0]], strict=True)]
    path.moveTo(*middles[-1])
    for point, middle in zip(points, middles, strict=True):
        path.quadTo(*point, *middle)
    path.close()
    return path


class Canvas:
    """A square picture of `size` pixels with its mask and parsing map; drawn on in the units of `matrix`."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.image = np.zeros((size, size, 4), np.uint8)
        self.mask = np.zeros((size, size), np.uint8)
        self.parsing = np.zeros((size, size), np.uint8)
        grey = skia.ImageInfo.Make(size, size, skia.kGray_8_ColorType, skia.kOpaque_AlphaType)
        colour = skia.ImageInfo.Make(size, size, skia.kRGBA_8888_ColorType, skia.kPremul_AlphaType)
        # The surfaces write into the arrays; they must live as long as their canvases do.
        self._surfaces = [
            skia.Surface.MakeRasterDirect(info, array)
            for info, array in ((colour, self.image), (grey, self.mask), (grey, self.parsing))
        ]
        self.picture, self._mask, self._parsing = (surface.getCanvas() for surface in self._surfaces)
        self.pixels_per_unit = float(size)

    def set_camera(self, matrix: skia.Matrix, pixels_per_unit: float) -> None:
        """Draw in other units from now on: `matrix` maps them to pixels."""
        for canvas in (self.picture, self._mask, self._parsing):
            canvas.setMatrix(matrix)
        self.pixels_per_unit = pixels_per_unit

    def fill(self, path: skia.Path, how: skia.Paint, part: str, garment: bool) -> None:
        """Draw a part of the scene: a class of the parsing map, of the garment or covering it."""
        self.picture.drawPath(path, how)
        if part == "background":
            return
        level = 255 if garment else 0
        self._mask.drawPath(path, skia.Paint(AntiAlias=True, Color=skia.Color(level, level, level)))
        number = PARSING[part]
        self._parsing.drawPath(path, skia.Paint(AntiAlias=False, Color=skia.Color(number, number, number)))

    def shade(self, path: skia.Path, how: skia.Paint, within: skia.Path | None = None) -> None:
        """Draw light or shadow: on the picture only, and inside `within` where it is given."""
        if within is None:
            self.picture.drawPath(path, how)
            return
        self.picture.save()
        self.picture.clipPath(within, True)
        self.picture.drawPath(path, how)
        self.picture.restore()

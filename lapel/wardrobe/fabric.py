"""The cloth: patterns as shaders that repeat along the axis of each piece."""

from __future__ import annotations

import functools
import math

import skia

from lapel.wardrobe.canvas import RGB, paint, polygon
from lapel.wardrobe.draws import Draws
from lapel.wardrobe.garment import Garment
from lapel.wardrobe.vocabulary import COLOURS, PATTERN_SCALES

TILE = 96
"""Pixels of one period; larger than a period is ever drawn, so that no picture shows a blurred pattern."""


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """The colour between a and b; share 0 is a."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


@functools.lru_cache(maxsize=256)
def cloth(garment: Garment) -> skia.Image | None:
    """One period of the garment's pattern, or None where the pattern does not repeat."""
    painter = _PATTERNS.get(garment.pattern)
    if painter is None:
        return None
    surface = skia.Surface(TILE, TILE)
    with surface as canvas:
        colours = [COLOURS[name] for name in garment.colours]
        canvas.clear(skia.Color(*colours[0]))
        painter(canvas, colours, Draws(garment.seed, stream=3))
    return surface.makeImageSnapshot()


def dye(garment: Garment, axis: skia.Matrix, top: float, bottom: float) -> skia.Paint:
    """The paint of a piece of the garment.

    Args:
        garment: what it is made of.
        axis: maps the piece's own axes (y along it) to the body's units.
        top: where the garment begins, and
        bottom: where it ends, for gradients and colour blocks, in the body's units.
    """
    result = skia.Paint(AntiAlias=True)
    colours = [COLOURS[name] for name in garment.colours]
    tile = cloth(garment)
    if tile is not None:
        scale = PATTERN_SCALES[garment.pattern_scale] / TILE
        local = skia.Matrix.Concat(axis, skia.Matrix.Scale(scale, scale))
        sampling = skia.SamplingOptions(skia.FilterMode.kLinear, skia.MipmapMode.kLinear)
        result.setShader(tile.makeShader(skia.TileMode.kRepeat, skia.TileMode.kRepeat, sampling, local))
    elif garment.pattern in ("gradient", "colour block"):
        stops = [0.1, 0.9] if garment.pattern == "gradient" else [0.48, 0.48]
        result.setShader(
            skia.GradientShader.MakeLinear(
                [skia.Point(0, top), skia.Point(0, bottom)], [skia.Color(*colour) for colour in colours], stops
            )
        )
    else:
        result.setColor(skia.Color(*colours[0]))
    return result


def trim(garment: Garment) -> RGB:
    """The colour of collars, cuffs and straps: a shade of the cloth."""
    main = COLOURS[garment.colours[0]]
    return mix(main, (0, 0, 0), 0.16) if sum(main) > 240 else mix(main, (255, 255, 255), 0.14)


def _stripes(canvas: skia.Canvas, colours: list[RGB], draws: Draws) -> None:
    canvas.drawRect(skia.Rect.MakeXYWH(0, TILE / 2, TILE, TILE / 2), paint(colours[1]))


def _vertical_stripes(canvas: skia.Canvas, colours: list[RGB], draws: Draws) -> None:
    canvas.drawRect(skia.Rect.MakeXYWH(TILE / 2, 0, TILE / 2, TILE), paint(colours[1]))


def _dots(canvas: skia.Canvas, colours: list[RGB], draws: Draws) -> None:
    for x, y in ((0.25, 0.25), (0.75, 0.75)):
        canvas.drawCircle(x * TILE, y * TILE, 0.17 * TILE, paint(colours[1]))


def _checks(canvas: skia.Canvas, colours: list[RGB], draws: Draws) -> None:
    for x, y in ((0, 0), (0.5, 0.5)):
        canvas.drawRect(skia.Rect.MakeXYWH(x * TILE, y * TILE, TILE / 2, TILE / 2), paint(colours[1]))


def _plaid(canvas: skia.Canvas, colours: list[RGB], draws: Draws) -> None:
    for horizontal in (False, True):
        for start, width, colour, alpha in ((0.08, 0.42, colours[1], 0.55), (0.68, 0.13, colours[2], 0.9)):
            box = (0, start * TILE, TILE, width * TILE) if horizontal else (start * TILE, 0, width * TILE, TILE)
            canvas.drawRect(skia.Rect.MakeXYWH(*box), paint(colour, alpha))


def _zigzag(canvas: skia.Canvas, colours: list[RGB], draws: Draws) -> None:
    points = [(-0.5, 0.9), (0, 0.3), (0.5, 0.9), (1, 0.3), (1.5, 0.9)]
    for shift in (-1, 0, 1):
        line = polygon([(x * TILE, (y + shift) * TILE) for x, y in points], close=False)
        canvas.drawPath(line, paint(colours[1], width=0.32 * TILE))


def _flowers(canvas: skia.Canvas, colours: list[RGB], draws: Draws) -> None:
    for x, y in ((0.28, 0.3), (0.76, 0.74)):
        x, y, turn = x + draws.uniform(-0.04, 0.04), y + draws.uniform(-0.04, 0.04), draws.uniform(0, 6.3)
        for petal in range(5):
            angle = turn + petal * 2 * math.pi / 5
            centre = ((x + 0.125 * math.cos(angle)) * TILE, (y + 0.125 * math.sin(angle)) * TILE)
            canvas.drawCircle(*centre, 0.1 * TILE, paint(colours[1]))
        canvas.drawCircle(x * TILE, y * TILE, 0.08 * TILE, paint(colours[2]))


def _denim(canvas: skia.Canvas, colours: list[RGB], draws: Draws) -> None:
    light = mix(colours[0], (255, 255, 255), 0.35)
    for step in range(-4, 5):
        x = step * TILE / 4
        canvas.drawLine(x, 0, x + TILE, TILE, paint(light, 0.8, width=0.07 * TILE))


_PATTERNS = {
    "striped": _stripes,
    "vertical striped": _vertical_stripes,
    "polka dot": _dots,
    "checked": _checks,
    "plaid": _plaid,
    "zigzag": _zigzag,
    "floral": _flowers,
    "denim": _denim,
}

"""Draws the places where garments are photographed.

Lengths are in frames: (0, 0) is the upper left corner, (1, 1) the lower right.
"""

from __future__ import annotations

from collections.abc import Callable

import skia

from lapel.wardrobe.canvas import RGB, Canvas, paint, polygon, smooth
from lapel.wardrobe.draws import Draws
from lapel.wardrobe.fabric import mix


def draw_scene(canvas: Canvas, scene: str, draws: Draws) -> None:
    """Draw the scene of that name; the same draws give the same place.

    Raises:
        KeyError: where there is no such scene.
    """
    SCENE_PAINTERS[scene](canvas, draws)


def _box(canvas: Canvas, left: float, top: float, right: float, bottom: float, colour: RGB) -> None:
    canvas.shade(skia.Path.Rect(skia.Rect.MakeLTRB(left, top, right, bottom)), paint(colour))


def _fade(canvas: Canvas, top: float, bottom: float, above: RGB, below: RGB) -> None:
    how = skia.Paint(AntiAlias=True)
    colours = [skia.Color(*above), skia.Color(*below)]
    how.setShader(skia.GradientShader.MakeLinear([skia.Point(0, top), skia.Point(0, bottom)], colours))
    canvas.shade(skia.Path.Rect(skia.Rect.MakeLTRB(0, top, 1, bottom)), how)


def _white_studio(canvas: Canvas, draws: Draws) -> None:
    _fade(canvas, 0, 1, (252, 252, 252), (238, 238, 240))


def _grey_studio(canvas: Canvas, draws: Draws) -> None:
    level = draws.integer(24)
    _fade(canvas, 0, 1, (176 + level, 178 + level, 182 + level), (118 + level, 120 + level, 126 + level))


def _wooden_floor(canvas: Canvas, draws: Draws) -> None:
    wood = mix((190, 134, 82), (160, 104, 60), draws.uniform(0, 1))
    height = draws.uniform(0.13, 0.17)
    row, y = 0, -draws.uniform(0, height)
    while y < 1:
        shade = draws.uniform(-0.14, 0.14)
        _box(canvas, 0, y, 1, y + height, mix(wood, (255, 255, 255) if shade > 0 else (0, 0, 0), abs(shade)))
        _box(canvas, 0, y, 1, y + 0.012, mix(wood, (40, 20, 8), 0.6))
        joint = draws.uniform(0.05, 0.95)
        _box(canvas, joint, y, joint + 0.012, y + height, mix(wood, (40, 20, 8), 0.6))
        row, y = row + 1, y + height


def _brick_wall(canvas: Canvas, draws: Draws) -> None:
    brick = mix((172, 78, 60), (146, 66, 56), draws.uniform(0, 1))
    _box(canvas, 0, 0, 1, 1, (206, 194, 180))
    height, width = 0.1, 0.24
    shift = draws.uniform(0, width)
    for row in range(11):
        for column in range(-1, 6):
            x = column * width - shift + (row % 2) * width / 2
            colour = mix(brick, (90, 40, 34), draws.uniform(0, 0.25))
            _box(canvas, x, row * height, x + width - 0.018, row * height + height - 0.018, colour)


def _park(canvas: Canvas, draws: Draws) -> None:
    horizon = draws.uniform(0.48, 0.58)
    _fade(canvas, 0, horizon, (150, 204, 244), (206, 232, 248))
    _fade(canvas, horizon, 1, (118, 178, 74), (76, 140, 52))
    for _ in range(4):
        x, radius = draws.uniform(0, 1), draws.uniform(0.11, 0.16)
        y = horizon - radius * 0.9
        _box(canvas, x - 0.015, y, x + 0.015, horizon + 0.04, (104, 72, 44))
        canvas.shade(skia.Path.Circle(x, y, radius), paint(mix((44, 112, 50), (78, 146, 60), draws.uniform(0, 1))))


def _beach(canvas: Canvas, draws: Draws) -> None:
    sea, sand = draws.uniform(0.28, 0.36), draws.uniform(0.52, 0.6)
    _fade(canvas, 0, sea, (112, 190, 244), (190, 226, 250))
    _fade(canvas, sea, sand, (28, 120, 178), (60, 178, 200))
    _fade(canvas, sand, 1, (242, 222, 170), (226, 200, 142))
    wave = smooth(
        [
            (-0.1, sand - 0.015),
            (0.3, sand - 0.03),
            (0.7, sand),
            (1.1, sand - 0.02),
            (1.1, sand + 0.02),
            (-0.1, sand + 0.02),
        ]
    )
    canvas.shade(wave, paint((250, 250, 248)))
    canvas.shade(skia.Path.Circle(draws.uniform(0.1, 0.9), draws.uniform(0.08, 0.16), 0.065), paint((255, 240, 150)))


def _street(canvas: Canvas, draws: Draws) -> None:
    ground = draws.uniform(0.6, 0.68)
    _fade(canvas, 0, ground, (206, 218, 230), (226, 228, 230))
    x = -draws.uniform(0, 0.15)
    while x < 1:
        width, top = draws.uniform(0.2, 0.32), draws.uniform(0.04, 0.2)
        wall = draws.pick(((178, 160, 146), (196, 178, 150), (150, 150, 160), (172, 132, 118)))
        _box(canvas, x, top, x + width, ground, wall)
        for row in range(4):
            for column in range(2):
                left, up = x + width * (0.16 + 0.42 * column), top + 0.05 + 0.12 * row
                _box(canvas, left, up, left + width * 0.26, up + 0.065, (90, 108, 128))
        x += width + 0.01
    _box(canvas, 0, ground, 1, ground + 0.08, (184, 182, 178))
    _box(canvas, 0, ground + 0.08, 1, 1, (92, 92, 98))
    for start in (0.04, 0.4, 0.76):
        _box(canvas, start, 0.86, start + 0.2, 0.885, (232, 226, 196))


def _bedroom(canvas: Canvas, draws: Draws) -> None:
    wall = draws.pick(((226, 206, 196), (206, 214, 204), (214, 204, 222)))
    floor = draws.uniform(0.74, 0.8)
    _box(canvas, 0, 0, 1, floor, wall)
    _box(canvas, 0, floor, 1, 1, (150, 112, 84))
    left = draws.uniform(0.06, 0.6)
    _box(canvas, left, 0.08, left + 0.3, 0.4, (246, 244, 238))
    _box(canvas, left + 0.025, 0.105, left + 0.275, 0.375, (166, 206, 236))
    _box(canvas, left + 0.14, 0.105, left + 0.16, 0.375, (246, 244, 238))
    _box(canvas, 0.02, 0.6, 0.98, floor + 0.08, (108, 128, 172))
    _box(canvas, 0.02, 0.54, 0.3, 0.64, (242, 238, 230))


def _snow(canvas: Canvas, draws: Draws) -> None:
    ground = draws.uniform(0.56, 0.64)
    _fade(canvas, 0, ground, (150, 172, 200), (206, 218, 232))
    for _ in range(3):
        x, height = draws.uniform(0, 1), draws.uniform(0.26, 0.42)
        peak = ground - height
        canvas.shade(polygon([(x - height, ground), (x, peak), (x + height, ground)]), paint((112, 128, 154)))
        tip = polygon([(x - height * 0.34, peak + height * 0.34), (x, peak), (x + height * 0.34, peak + height * 0.34)])
        canvas.shade(tip, paint((248, 250, 252)))
    _fade(canvas, ground, 1, (250, 252, 255), (222, 232, 244))


def _night_city(canvas: Canvas, draws: Draws) -> None:
    _fade(canvas, 0, 1, (16, 18, 50), (50, 36, 84))
    canvas.shade(skia.Path.Circle(draws.uniform(0.1, 0.9), 0.1, 0.05), paint((240, 236, 206)))
    x = -draws.uniform(0, 0.1)
    while x < 1:
        width, top = draws.uniform(0.12, 0.22), draws.uniform(0.2, 0.48)
        _box(canvas, x, top, x + width, 0.86, (26, 26, 44))
        for row in range(8):
            for column in range(3):
                if draws.chance(0.55):
                    left, up = x + width * (0.12 + 0.3 * column), top + 0.04 + 0.075 * row
                    if up < 0.82:
                        _box(canvas, left, up, left + width * 0.17, up + 0.035, (250, 208, 96))
        x += width + 0.008
    _box(canvas, 0, 0.86, 1, 1, (38, 36, 48))


SCENE_PAINTERS: dict[str, Callable[[Canvas, Draws], None]] = {
    "white studio": _white_studio,
    "grey studio": _grey_studio,
    "wooden floor": _wooden_floor,
    "brick wall": _brick_wall,
    "park": _park,
    "beach": _beach,
    "street": _street,
    "bedroom": _bedroom,
    "snow": _snow,
    "night city": _night_city,
}

"""Prints on the chest: shapes, and short words in a stroke alphabet of our own, so that no font is needed."""

from __future__ import annotations

import math

import skia

from lapel.wardrobe.canvas import polygon
from lapel.wardrobe.vocabulary import PRINT_SHAPES

# Strokes on a grid 2 wide and 4 high; a point is two digits, x then y.
LETTERS = {
    "A": "0410 1024 0222", "B": "0004 00101201 021202 12232404 0414", "C": "2110010304142423", "D": "0004 001021230414",
    "E": "200004 24 0424 0212", "H": "0004 2024 0222", "I": "1014", "J": "2023140403", "K": "0004 2002 0224",
    "L": "000424", "M": "0400122024", "N": "04002420", "O": "1001031423211000", "P": "0400102112 0212",
    "S": "21100102222314", "U": "0003142320", "V": "001420", "W": "0004122420", "Y": "0012 2012 1214",
}  # fmt: skip


def print_path(name: str, centre: tuple[float, float], size: float) -> skia.Path:
    """The outline of a print: a shape `size` across, or a word 1.5 times as wide.

    Raises:
        KeyError: where a word has a letter that the alphabet lacks.
    """
    path = _shape(name) if name in PRINT_SHAPES else _word(name)
    path.transform(skia.Matrix.Translate(*centre).preConcat(skia.Matrix.Scale(size, size)))
    return path


def _word(word: str) -> skia.Path:
    lines = skia.Path()
    for number, letter in enumerate(word):
        for stroke in LETTERS[letter].split():
            points = [(int(stroke[i]) + 3.2 * number, int(stroke[i + 1])) for i in range(0, len(stroke), 2)]
            lines.addPath(polygon(points, close=False))
    pen = skia.Paint(Style=skia.Paint.kStroke_Style, StrokeWidth=0.9, StrokeCap=skia.Paint.kRound_Cap)
    outline = skia.Path()
    pen.getFillPath(lines, outline)
    width = 3.2 * len(word) - 1.2
    scale = min(1.5 / (width + 0.9), 0.7 / 4)
    outline.transform(skia.Matrix.Scale(scale, scale).preConcat(skia.Matrix.Translate(-width / 2, -2)))
    return outline


def _shape(name: str) -> skia.Path:
    if name == "circle":
        return skia.Path.Circle(0, 0, 0.45)
    if name == "square":
        return skia.Path.Rect(skia.Rect.MakeLTRB(-0.4, -0.4, 0.4, 0.4))
    if name == "triangle":
        return polygon([(0, -0.45), (0.48, 0.38), (-0.48, 0.38)])
    if name == "star":
        turns = [(math.pi * i / 5, 0.22 if i % 2 else 0.52) for i in range(10)]
        return polygon([(radius * math.sin(turn), -radius * math.cos(turn)) for turn, radius in turns])
    if name == "moon":
        return skia.Op(skia.Path.Circle(0, 0, 0.46), skia.Path.Circle(0.22, -0.1, 0.38), skia.PathOp.kDifference_PathOp)
    heart = skia.Path()
    heart.moveTo(0, 0.46)
    heart.cubicTo(-0.85, -0.15, -0.35, -0.68, 0, -0.25)
    heart.cubicTo(0.35, -0.68, 0.85, -0.15, 0, 0.46)
    return heart

"""The parsing map of a person who wears several garments at once, cut as the wardrobe cuts them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import skia

from lapel.wardrobe.body import Skeleton
from lapel.wardrobe.canvas import Canvas, mirrored, paint, polygon
from lapel.wardrobe.garment import Garment
from lapel.wardrobe.people import draw_arms_in_front, draw_body, draw_hands, draw_head
from lapel.wardrobe.shot import Person
from lapel.wardrobe.tailor import Cut, Piece, cut
from lapel.wardrobe.vocabulary import LOWER

_GAP = (0.026, 0.05)
"""Half of what an open garment leaves open: at the neck and at the hem."""

_ANY = paint((0, 0, 0))
"""What a parsing map is drawn with; nobody sees the picture."""


@dataclass(frozen=True)
class Clothes:
    """What a person wears, from the skin outwards."""

    lower: Garment | None = None
    upper: Garment | None = None
    """A dress too."""
    outer: Garment | None = None
    """Over the upper one."""
    opened: bool = False
    """Whether the outer garment is open, so that what is under it is seen."""
    tucked: bool = False
    """Whether the upper garment is tucked into the lower one, as into a skirt it always is."""

    def from_below(self) -> list[Garment]:
        """In the order in which they lie over each other."""
        tucked = self.tucked or (self.lower is not None and self.lower.kind == "skirt")
        order = (self.upper, self.lower) if tucked else (self.lower, self.upper)
        return [garment for garment in (*order, self.outer) if garment is not None]


def draw_parsing(
    clothes: Clothes, skeleton: Skeleton, hair_style: str, matrix: skia.Matrix, size: int
) -> npt.NDArray[np.uint8]:
    """The parsing map (size, size), in classes of `PARSING`, of a person seen from the front.

    Args:
        hair_style: one of `HAIR_STYLES`.
        matrix: from the body's units to pixels.
    """
    canvas = Canvas(size)
    canvas.set_camera(matrix, 1.0)
    person = Person("light", "black", hair_style, "average", "black")
    draw_body(canvas, person, skeleton)
    cuts = [
        (_part(garment, garment is clothes.outer), _cut(garment, skeleton, garment is clothes.outer and clothes.opened))
        for garment in clothes.from_below()
    ]
    for part, made in cuts:
        _fill(canvas, [piece for piece in made.pieces if not piece.in_front], part)
    draw_arms_in_front(canvas, person, skeleton)
    for part, made in cuts:
        _fill(canvas, [piece for piece in made.pieces if piece.in_front], part)
    draw_hands(canvas, person, skeleton)
    draw_head(canvas, person)
    return canvas.parsing


def _part(garment: Garment, outer: bool) -> str:
    if outer:
        return "outer"
    return "dress" if garment.kind == "dress" else "lower" if garment.kind in LOWER else "upper"


def _fill(canvas: Canvas, pieces: list[Piece], part: str) -> None:
    for piece in pieces:
        canvas.fill(piece.path, _ANY, part, garment=True)


def _cut(garment: Garment, skeleton: Skeleton, opened: bool) -> Cut:
    """The garment's pieces; of an open one, without a strip down the middle of all but the sleeves."""
    made = cut(garment, skeleton, back=False)
    if opened:
        strip = polygon(mirrored([(_GAP[0], -0.05), (_GAP[1], made.outline.getBounds().bottom() + 0.01)]))
        for piece in made.pieces:
            if not piece.sleeve:
                piece.path = skia.Op(piece.path, strip, skia.PathOp.kDifference_PathOp)
    return made

"""Puts a flat print from a garment's photo onto the garment in an image, where its words did not survive."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from lapel.fidelity.colour import Floats, Pixels, delta_e, from_lab, to_lab
from lapel.fidelity.lettering import TextReader, character_error_rate
from lapel.generation.retouching import Print
from lapel.photos.people.lay import Axis, axis_of, placed, similarity, worn_axis
from lapel.photos.people.shape import Body, Shape

Bools = npt.NDArray[np.bool_]

_UNREAD = 0.2
"""Share of wrong characters from which on `auto` puts the print on."""

_MARGIN = 0.35
"""Of the height of a line of text: so far around it a print is looked for."""

_GROUND, _INK = 8.0, 20.0
"""Delta E from the cloth: up to the one a pixel is cloth, from the other on it is ink, and a mixture between."""


@dataclass(frozen=True)
class Printed:
    """What is printed on a garment laid flat."""

    words: str
    lab: Floats
    """(h, w, 3) of the photo."""
    ink: npt.NDArray[np.float32]
    """(h, w), 0 to 1: how much of each pixel is ink."""
    ground: Floats
    """(3,): the cloth's colour around it."""
    area: npt.NDArray[np.float32]
    """(h, w), 1 where the print is, its cloth included."""
    axis: Axis
    """The middle of the garment's top and of its hem, in the photo's pixels."""


@dataclass(frozen=True)
class Reprinted:
    """An image (h, w, 3), and the share of the print's characters that OCR read wrong in it, before and after."""

    image: Pixels
    words: str
    before: float
    after: float


def find_print(photo: Pixels, mask: Bools, shape: Shape, reader: TextReader) -> Printed | None:
    """The words on a garment in a photo (h, w, 3), and their ink; None where nothing is read.

    Args:
        mask: (h, w) where the garment is, laid flat and upright.
        shape: of the garment.
    """
    lines = reader.lines(photo, mask)
    if not lines:
        return None
    area, boxes = np.zeros(mask.shape, np.uint8), np.zeros(mask.shape, np.uint8)
    for line in lines:
        grown = line.corners + (line.corners - line.corners.mean(axis=0)) * 0.1
        margin = max(1, round(_MARGIN * line.height))
        one = cv2.fillPoly(np.zeros_like(area), [grown.round().astype(np.int32)], 1)
        boxes |= one
        area |= cv2.dilate(one, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
    area &= mask
    lab = to_lab(photo)
    ring = (cv2.dilate(area, np.ones((9, 9), np.uint8)) > area) & mask
    ground = np.median(lab[ring if ring.any() else mask], axis=0)
    ink = np.clip((delta_e(lab, ground) - _GROUND) / (_INK - _GROUND), 0, 1) * area
    # Letters may reach out of their line's box; what lies beyond it alone is a seam or the garment's edge.
    _, parts = cv2.connectedComponents((ink > 0).astype(np.uint8))
    ink *= np.isin(parts, parts[boxes > 0])
    words = " ".join(line.words for line in lines)
    return Printed(words, lab, ink.astype(np.float32), ground, area.astype(np.float32), axis_of(mask, shape))


def reprint(
    image: Pixels, region: Bools, printed: Printed, body: Body, shape: Shape, how: Print, reader: TextReader
) -> Reprinted:
    """The image with the print where the wearer's body has it, in the light of the cloth that is drawn there.

    Pixels outside the region do not change by one bit.

    Args:
        image: (h, w, 3) uint8, sRGB.
        region: (h, w) the garment in it, not empty.
        body: of the wearer.
        shape: of the garment, whose hem ends the print's axis.
        how: `off` only reads; `auto` puts the print on where its words are not read; `always` in any case.
    """
    before = character_error_rate(reader.read(image, region), printed.words)
    if how == "off" or (how == "auto" and before < _UNREAD):
        return Reprinted(image, printed.words, before, before)
    size = (image.shape[1], image.shape[0])
    place = similarity(printed.axis, worn_axis(body, shape))
    area, ink, lab = (
        placed(plane.astype(np.float32), place, size, cv2.BORDER_CONSTANT)
        for plane in (printed.area, printed.ink, printed.lab)
    )
    inside = (area > 0.5) & region
    if not inside.any():
        return Reprinted(image, printed.words, before, before)
    cloth = _without_ink(image, inside)
    drawn = to_lab(cloth)
    # The ink takes on the light and shade of the cloth that it is on.
    light = cv2.GaussianBlur(drawn[..., 0].astype(np.float32), (0, 0), max(1.0, size[0] / 100))
    lab = lab + np.stack([light - np.median(light[inside]), np.zeros_like(light), np.zeros_like(light)], axis=-1)
    share = np.where(inside, ink, 0)[..., None]
    result = np.where(inside[..., None], from_lab(drawn * (1 - share) + lab * share), image)
    return Reprinted(result, printed.words, before, character_error_rate(reader.read(result, region), printed.words))


def _without_ink(image: Pixels, inside: Bools) -> Pixels:
    """The image with cloth in place of what was drawn on it."""
    lab = to_lab(image)
    ground = np.median(lab[inside], axis=0)
    drawn = (delta_e(lab, ground) > _GROUND) & inside
    if not drawn.any() or drawn.sum() > 0.6 * inside.sum():
        return image
    hole = cv2.dilate(drawn.astype(np.uint8), np.ones((3, 3), np.uint8))
    filled = cv2.inpaint(image, hole, 3, cv2.INPAINT_TELEA)
    return np.where(inside[..., None], filled, image)

"""A garment's own pixels, put where a pose would wear them, for a person to be drawn around."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from lapel.errors import UserError
from lapel.photos.people.pose import Pose
from lapel.photos.people.shape import Shape, area, body_of

_GREY = (128, 128, 128)


@dataclass(frozen=True)
class Placed:
    """A canvas with the garment on it."""

    canvas: Image.Image
    """RGB; grey where the garment is not."""
    drawn: Image.Image
    """Mode L: 255 where the person and the scene are drawn, 0 where the garment's pixels stay."""


def place(photo: Image.Image, mask: Image.Image, size: tuple[int, int], where: tuple[float, float, float]) -> Placed:
    """Put a garment on a canvas of that size (width, height).

    Args:
        photo: RGB.
        mask: mode L, of the photo's size: where the garment is.
        where: x and y of the middle of the garment, and its width, as shares of the canvas.

    Raises:
        UserError: nothing of the garment would be seen.
    """
    box = mask.point(lambda value: 255 * (value >= 128)).getbbox()
    if box is None:
        raise UserError("the garment's mask is empty; give the photo a .mask.png")
    x, y, share = where
    width = max(1, round(share * size[0]))
    height = max(1, round(width * (box[3] - box[1]) / (box[2] - box[0])))
    corner = (round(x * size[0] - width / 2), round(y * size[1] - height / 2))
    canvas, inside = Image.new("RGB", size, _GREY), Image.new("L", size)
    garment = photo.resize((width, height), Image.Resampling.LANCZOS, box=box)
    whole = mask.resize((width, height), Image.Resampling.LANCZOS, box=box)
    # A pixel at the edge shows the old background too, and is left to be drawn.
    solid = cv2.erode(np.array(whole.point(lambda value: 255 * (value >= 250))), np.ones((3, 3), np.uint8))
    inside.paste(Image.fromarray(solid), corner)
    canvas.paste(garment, corner, Image.fromarray(solid))
    if not inside.getbbox():
        raise UserError("nothing of the garment lies within the picture; change --place")
    return Placed(canvas, inside.point(lambda value: 255 - value))


def where_worn(mask: Image.Image, shape: Shape, pose: Pose) -> tuple[float, float, float]:
    """Where a pose wears a garment of that shape, as `place` takes it: as wide as the pose holds it, from its top down.

    Raises:
        UserError: the pose shows no shoulders.
    """
    body = body_of(pose)
    if body is None:
        raise UserError("the pose shows no shoulders, which clothes hang on; give another pose, or --place")
    rows, columns = np.nonzero(area(shape, body, pose.size))
    box = mask.point(lambda value: 255 * (value >= 128)).getbbox()
    if box is None or not len(rows):
        raise UserError("the garment would lie outside of the picture; give another pose, or --place")
    # The area is drawn loosely, by about a tenth of the shoulders on either side.
    width = float(np.ptp(columns)) - 0.2 * body.unit
    height = width * (box[3] - box[1]) / (box[2] - box[0])
    middle = (columns.max() + columns.min()) / 2
    return middle / pose.size[0], (rows.min() + 0.08 * body.unit + height / 2) / pose.size[1], width / pose.size[0]

"""A garment that was photographed flat, brought onto a person's body."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lapel.errors import UserError
from lapel.photos.people.shape import Body, Bools, Point, Shape, hem_of, waist_of

Axis = tuple[Point, Point]
"""The middle of a garment's top and of its hem, in pixels: laid flat, or as it is worn."""

Placement = npt.NDArray[np.float64]
"""(2, 3): a turn, scale and shift."""

_SHOULDERS = (0.3, 0.34, 0.38)
"""Of the trunk's width, from its middle: where a flat garment's shoulders are, beside neckline and hood."""

_TRUNK = (0.25, 0.75)
"""Of its height: where the trunk of what flares below it is narrowest."""

_LEAST_AXIS = 2
"""Pixels: what is shorter was not laid flat."""


def axis_of(mask: Bools, shape: Shape) -> Axis:
    """The middle of a flat garment's shoulders, or of its waistband, and of its hem.

    The lower half tells where the trunk is, whose middle the sleeves do not move. Necklines are cut below the shoulders
    and hoods lie above them, so that these are looked for beside both. Skirts and legs end where the garment does,
    which may not be below its middle.

    Args:
        mask: (h, w), upright.

    Raises:
        UserError: it is empty, or has no height.
    """
    rows = np.nonzero(mask.any(axis=1))[0]
    if not len(rows) or rows[-1] - rows[0] < _LEAST_AXIS:
        raise UserError("the garment's mask shows none laid flat; give the photo a .mask.png")
    first, last = float(rows[0]), float(rows[-1])
    low = mask[(rows[0] + rows[-1]) // 2 : rows[-1] + 1]
    middle = float(np.median(np.nonzero(low)[1]))
    if shape.on_legs:
        return (middle, first), (middle, last)
    if shape.part == "whole":
        width, hem = _narrowest(mask, middle), last
    else:
        width = float(np.median(low[len(low) // 2 :].sum(axis=1)))
        hem = float(np.nonzero(mask[:, round(middle)])[0].max(initial=rows[0] + _LEAST_AXIS))
    return (middle, min(_shoulders(mask, middle, width), hem - _LEAST_AXIS)), (middle, hem)


def worn_axis(body: Body, shape: Shape) -> Axis:
    """From the neck, or the waist of what is worn below it, to the hem."""
    return (waist_of(body) if shape.on_legs else body.neck), hem_of(shape, body)


def similarity(source: Axis, target: Axis) -> Placement:
    """The turn, scale and shift that bring two points onto two others."""
    (a, b), (c, d) = source, target
    one, other = complex(b[0] - a[0], b[1] - a[1]), complex(d[0] - c[0], d[1] - c[1])
    turn = other / one
    shift = complex(*c) - turn * complex(*a)
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def placed(plane: npt.NDArray[Any], place: Placement, size: tuple[int, int], border: int) -> npt.NDArray[Any]:
    """A plane, or several, of a photo in a picture of that size (width, height), averaged where it becomes smaller.

    Args:
        border: what lies beyond the photo, in OpenCV's words.
    """
    scale = math.hypot(place[0, 0], place[1, 0])
    if scale < 1:
        # A warp takes single pixels, of which fine patterns leave any or none.
        height, width = plane.shape[:2]
        small = max(1, round(width * scale)), max(1, round(height * scale))
        plane = cv2.resize(plane, small, interpolation=cv2.INTER_AREA)
        # Pixels' middles are at whole numbers.
        across, down = width / small[0], height / small[1]
        grown = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])
        place = place @ grown
    return np.asarray(cv2.warpAffine(plane, place, size, flags=cv2.INTER_LINEAR, borderMode=border))


def laid(photo: npt.NDArray[np.uint8], mask: Bools, place: Placement, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """(h, w, 3) of that size (width, height): the garment's cloth as it lies there, and what is next of it all around.

    A sleeve that hangs otherwise than in the photo is thus of the cloth that is nearest.

    Args:
        photo: RGB.
        mask: (h, w) where the garment is in it, not empty.
    """
    # The outermost pixels show the background too.
    inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    cloth = inner if inner.any() else mask
    _, nearest = cv2.distanceTransformWithLabels(
        (~cloth).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((nearest.max() + 1, 3), np.uint8)
    colours[nearest[cloth]] = photo[cloth]
    return placed(colours[nearest], place, size, cv2.BORDER_REPLICATE)


def _shoulders(mask: Bools, middle: float, width: float) -> float:
    """The row at which the garment begins beside neckline and hood."""
    beside = [round(middle + side * share * width) for side in (-1, 1) for share in _SHOULDERS]
    tops = [int(np.argmax(mask[:, x])) for x in beside if 0 <= x < mask.shape[1] and mask[:, x].any()]
    return float(np.median(tops)) if tops else float(np.nonzero(mask.any(axis=1))[0][0])


def _narrowest(mask: Bools, middle: float) -> float:
    """The width of the trunk where it is least, without the sleeves beside it."""
    rows = np.nonzero(mask.any(axis=1))[0]
    first, height = int(rows[0]), int(np.ptp(rows)) + 1
    column, widths = round(middle), []
    for row in mask[first + int(_TRUNK[0] * height) : first + int(_TRUNK[1] * height) + 1]:
        if row[column]:
            left, right = np.nonzero(~row[:column])[0], np.nonzero(~row[column:])[0]
            widths.append((column + right[0] if len(right) else len(row)) - (left[-1] + 1 if len(left) else 0))
    return float(min(widths, default=0))

"""A garment that was photographed flat, brought onto a person's body."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from lapel.photos.people.shape import Bools, Point

Axis = tuple[Point, Point]
"""The middle of a garment's top and of its hem, in pixels: laid flat, or as it is worn."""

_SHOULDERS = (0.3, 0.34, 0.38)
"""Of the trunk's width, from its middle: where a flat garment's shoulders are, beside neckline and hood."""


def axis_of(mask: Bools) -> Axis:
    """The middle of a flat garment's shoulders, and of its hem.

    The lower half tells where the trunk is, whose middle the sleeves do not move. Necklines are cut below the shoulders
    and hoods lie above them, so that these are looked for beside both.

    Args:
        mask: (h, w), upright, not empty.
    """
    rows = np.nonzero(mask.any(axis=1))[0]
    low = mask[(rows[0] + rows[-1]) // 2 : rows[-1] + 1]
    middle = float(np.median(np.nonzero(low)[1]))
    width = float(np.median(low[len(low) // 2 :].sum(axis=1)))
    beside = [round(middle + side * share * width) for side in (-1, 1) for share in _SHOULDERS]
    tops = [int(np.argmax(mask[:, column])) for column in beside if 0 <= column < mask.shape[1]]
    return (middle, float(np.median(tops))), (middle, float(np.nonzero(mask[:, round(middle)])[0].max()))


def similarity(source: Axis, target: Axis) -> npt.NDArray[np.float64]:
    """(2, 3): the turn, scale and shift that bring two points onto two others."""
    (a, b), (c, d) = source, target
    one, other = complex(b[0] - a[0], b[1] - a[1]), complex(d[0] - c[0], d[1] - c[1])
    turn = other / one
    shift = complex(*c) - turn * complex(*a)
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def laid(
    photo: npt.NDArray[np.uint8], mask: Bools, place: npt.NDArray[np.float64], size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """(h, w, 3) of that size (width, height): the garment's cloth as it lies there, and what is next of it all around.

    A sleeve that hangs otherwise than in the photo is thus of the cloth that is nearest.

    Args:
        photo: RGB.
        mask: (h, w) where the garment is in it, not empty.
        place: (2, 3), as `similarity` has it.
    """
    # The outermost pixels show the background too.
    inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    cloth = inner if inner.any() else mask
    _, nearest = cv2.distanceTransformWithLabels(
        (~cloth).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((nearest.max() + 1, 3), np.uint8)
    colours[nearest[cloth]] = photo[cloth]
    endless = colours[nearest]
    return np.asarray(cv2.warpAffine(endless, place, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE))

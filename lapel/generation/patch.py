"""The part of a photo that is drawn anew: cut out, brought to the base's size, and put back exactly where it was."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Alpha = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels; the last two are outside."""


PADDING = 0.4
"""Of the longer side of what is drawn anew: as much of a photo is seen around it."""


@dataclass(frozen=True)
class Patch:
    """`box` of a photo is drawn at `size` (width, height), whose sides are multiples that the base can draw."""

    box: Box
    size: tuple[int, int]

    def cut(self, image: Image.Image) -> Image.Image:
        """The patch of an image of the photo's size, as it is drawn."""
        return image.resize(self.size, Image.Resampling.LANCZOS, box=self.box)

    def cut_map(self, drawn: Image.Image, size: tuple[int, int]) -> Image.Image:
        """The patch of a control map for a photo of that size: its flat colours do not mix."""
        whole = drawn if drawn.size == size else drawn.resize(size, Image.Resampling.NEAREST)
        return whole.resize(self.size, Image.Resampling.NEAREST, box=self.box)

    def cells(self, alpha: Alpha, stride: int) -> Alpha:
        """(height, width) of `size`, 255 or 0: where anything is drawn, by whole latents.

        A latent is drawn where any of its pixels is, so that a thin strap is not lost between two of them.
        """
        left, top, right, bottom = self.box
        drawn = Image.fromarray((alpha[top:bottom, left:right] > 0).astype(np.uint8) * 255)
        columns, rows = (side // stride for side in self.size)
        # BOX averages all pixels of a cell; any of them leaves more than nothing.
        share = np.asarray(drawn.convert("F").resize((columns, rows), Image.Resampling.BOX))
        return np.kron((share > 0).astype(np.uint8) * 255, np.ones((stride, stride), np.uint8))

    def put_back(self, photo: Image.Image, drawn: Image.Image, alpha: Alpha) -> Image.Image:
        """The RGB photo with the drawn patch in it: `alpha` (h, w) of the photo's size says how much of each pixel.

        Where alpha is 0 a pixel stays as it was, bit for bit.
        """
        left, top, right, bottom = self.box
        size = (right - left, bottom - top)
        fresh = drawn if drawn.size == size else drawn.resize(size, Image.Resampling.LANCZOS)
        pixels = np.array(photo)
        share = alpha[top:bottom, left:right, None].astype(np.float32) / 255
        old = pixels[top:bottom, left:right]
        pixels[top:bottom, left:right] = (old * (1 - share) + np.asarray(fresh) * share).round().astype(np.uint8)
        return Image.fromarray(pixels)


def soften(mask: Image.Image, grow: int, feather: int, kept: Image.Image | None = None) -> Alpha:
    """(h, w) uint8: how much of each pixel is drawn anew.

    Args:
        mask: mode L; 255 where the photo is to change.
        grow: pixels by which the mask becomes larger, or smaller where negative.
        feather: pixels beyond that over which it fades out; the mask itself stays whole.
        kept: mode L; what is not drawn in any case.
    """
    alpha: Alpha = np.array(mask)
    if grow:
        side = 2 * abs(grow) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        alpha = np.asarray(cv2.dilate(alpha, kernel) if grow > 0 else cv2.erode(alpha, kernel), np.uint8)
    if feather:
        inside = (alpha < 255).astype(np.uint8)
        away = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        fading = 255 * np.clip(1 - away / (feather + 1), 0, 1)
        alpha = np.maximum(alpha, fading.round().astype(np.uint8))
    if kept is not None:
        alpha[np.asarray(kept) > 0] = 0
    return alpha


def box_around(alpha: Alpha, padding: int | None) -> Box:
    """What is drawn anew, with so many pixels of the photo around it; unless given, `PADDING`.

    Args:
        alpha: (h, w), not all zero.
    """
    rows, columns = np.nonzero(alpha)
    (top, left), (bottom, right) = ((int(end(rows)), int(end(columns))) for end in (np.min, np.max))
    if padding is None:
        padding = round(PADDING * (1 + max(bottom - top, right - left)))
    height, width = alpha.shape
    return (
        *(max(0, left - padding), max(0, top - padding)),
        *(min(width, right + 1 + padding), min(height, bottom + 1 + padding)),
    )


def choose_patch(
    box: Box, photo: tuple[int, int], resolution: int, multiple: int, size: tuple[int | None, int | None]
) -> Patch:
    """The patch that covers a box of a photo of that size (width, height).

    Args:
        resolution: side in pixels of the squares that the base was trained on; a patch has about their area.
        multiple: sides of the patch as it is drawn are multiples of this.
        size: width and height to draw at, where they are settled.
    """
    wide, high = box[2] - box[0], box[3] - box[1]
    scale = resolution / math.sqrt(wide * high)
    drawn_wide, drawn_high = (
        given or max(multiple, round(side * scale / multiple) * multiple)
        for given, side in zip(size, (wide, high), strict=True)
    )
    whole = (wide, high) == photo
    return Patch(box if whole else _towards(box, drawn_wide / drawn_high, *photo), (drawn_wide, drawn_high))


def _towards(box: Box, aspect: float, width: int, height: int) -> Box:
    """The box made wider or higher until it has the aspect, as far as the photo reaches, against squeezing."""
    left, top, right, bottom = box
    wide, high = right - left, bottom - top
    wanted_wide, wanted_high = max(wide, round(high * aspect)), max(high, round(wide / aspect))
    new_left, new_right = _grown(left, right, wanted_wide, width)
    new_top, new_bottom = _grown(top, bottom, wanted_high, height)
    return new_left, new_top, new_right, new_bottom


def _grown(start: int, end: int, length: int, limit: int) -> tuple[int, int]:
    length = min(length, limit)
    first = min(max(0, start - (length - (end - start)) // 2), limit - length)
    return first, first + length

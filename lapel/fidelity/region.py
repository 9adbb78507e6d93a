"""Where the garment is in a generated image, for which no mask exists: the intake's own sources find it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]

_GREY = 128


def garment_region(image: Pixels, class_word: str, view: str) -> Bools:
    """The garment's region (h, w) in an sRGB image (h, w, 3) uint8, never empty.

    Args:
        image: as it was generated.
        class_word: tells the place where the garment is to be expected.
        view: as of a photo ("worn" where somebody wears it), so that skin and other clothes are no garment. Without
            it the overlap with exact masks of worn garments is 0.59 instead of 0.86; docs/measures.md has the table.
    """
    from PIL import Image

    from lapel.photos.masks.separate import separate

    mask = separate(Image.fromarray(image), class_word, view)
    region: Bools = np.asarray(mask.image) >= 128
    return region if mask.source != "none" and region.any() else expected_region(image, class_word, view)


def expected_region(image: Pixels, class_word: str, view: str) -> Bools:
    """The place (h, w) where shops show such a garment, whatever the image (h, w, 3) has there."""
    from lapel.photos.masks.places import expected_place

    shown = view if view in ("worn", "detail") else "flat"
    place = expected_place(class_word, shown).probability(*image.shape[:2])
    return place >= min(0.5, float(place.max()))


def cut_out(image: Pixels, region: npt.NDArray[np.bool_], side: int) -> Pixels:
    """The region alone, (side, side, 3): in the middle, as large as fits with a margin, on grey.

    Grey, for against it white and black garments have an outline. Of a gallery of 50 with near colourways, the right
    garment is first for 95 % of wardrobe photos seen so, and for 77 % of whole photos.
    """
    import cv2

    rows, columns = np.nonzero(region)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    scale = 0.86 * side / max(bottom - top, right - left)
    alone = np.where(region[..., None], image, np.uint8(_GREY))[top:bottom, left:right]
    height, width = (max(1, round(length * scale)) for length in alone.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(np.ascontiguousarray(alone), (width, height), interpolation=method)
    result = np.full((side, side, 3), _GREY, np.uint8)
    y, x = (side - height) // 2, (side - width) // 2
    result[y : y + height, x : x + width] = resized
    return result


def without_garment(image: Pixels, region: Bools) -> Pixels:
    """The image (h, w, 3) with grey in the region's place: what there is beside the garment."""
    return np.where(region[..., None], np.uint8(_GREY), image)

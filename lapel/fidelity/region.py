"""Where the garment is in a generated image, for which no mask exists."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

# Shares of the image's sides. Measured on wardrobe photos: a looser start takes in more of the background's colour.
_BORDER = 0.04
_CENTRE = (0.35, 0.2)
_LIKELY = (0.5, 0.4)
_ROUNDS = 2


def garment_region(image: Pixels) -> npt.NDArray[np.bool_]:
    """The garment's region (h, w) in an sRGB image (h, w, 3) uint8.

    GrabCut (Rother, Kolmogorov, Blake 2004; OpenCV's), started from the border as background and the centre as garment,
    so that the region is never empty.

    Its error, as delta E 2000 between the dominant colours of this region and of the exact mask, on 150 wardrobe photos
    of 96 px in every scene: median 0.1 for a garment laid flat, 3.6 for a worn one (90th percentile 3.7 and 11.8); the
    median overlap with the exact mask is 0.90 and 0.77.
    """
    import cv2

    height, width = image.shape[:2]
    border = max(1, round(_BORDER * min(height, width)))
    labels = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    labels[_middle(height, width, *_LIKELY)] = cv2.GC_PR_FGD
    labels[_middle(height, width, *_CENTRE)] = cv2.GC_FGD
    for edge in (np.s_[:border], np.s_[-border:], np.s_[:, :border], np.s_[:, -border:]):
        labels[edge] = cv2.GC_BGD
    # its clusters start from OpenCV's global random state
    cv2.setRNGSeed(0)
    bgr = np.ascontiguousarray(image[..., ::-1])
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(bgr, labels, (0, 0, width, height), *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _middle(height: int, width: int, tall: float, wide: float) -> tuple[slice, slice]:
    """The box in the middle with these shares of the sides."""
    rows, columns = round(tall * height), round(wide * width)
    top, left = (height - rows) // 2, (width - columns) // 2
    return slice(top, top + rows), slice(left, left + columns)

"""Where the garment is in a generated image, for which no mask exists."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

BORDER = 0.06
"""Share of the shorter side, at each edge, that is taken for background when the separation starts."""

CENTRE = 0.22
"""Share of the sides of the box in the middle that is taken for garment when the separation starts."""

ROUNDS = 6


def garment_region(image: Pixels) -> npt.NDArray[np.bool_]:
    """The garment's region (h, w) in an sRGB image (h, w, 3) uint8.

    GrabCut (Rother, Kolmogorov, Blake 2004; OpenCV's), started from the border as background and the centre as garment.
    Where it finds nothing, the middle box itself is the answer, so that the region is never empty.
    """
    import cv2

    height, width = image.shape[:2]
    border = max(1, round(BORDER * min(height, width)))
    centre = _centre_box(height, width)
    labels = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    labels[height // 6 : height - height // 6, width // 5 : width - width // 5] = cv2.GC_PR_FGD
    labels[centre] = cv2.GC_FGD
    for edge in (np.s_[:border], np.s_[-border:], np.s_[:, :border], np.s_[:, -border:]):
        labels[edge] = cv2.GC_BGD
    # GrabCut's clusters start from OpenCV's global random state
    cv2.setRNGSeed(0)
    cv2.grabCut(
        np.ascontiguousarray(image[..., ::-1]),
        labels,
        (0, 0, width, height),
        np.zeros((1, 65)),
        np.zeros((1, 65)),
        ROUNDS,
        cv2.GC_INIT_WITH_MASK,
    )
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _centre_box(height: int, width: int) -> tuple[slice, slice]:
    tall, wide = round(CENTRE * height), round(CENTRE * width)
    top, left = (height - tall) // 2, (width - wide) // 2
    return slice(top, top + tall), slice(left, left + wide)

"""How like its ground truth an image is, pixel for pixel, where such a truth exists."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def masked_ssim(image: Pixels, truth: Pixels, mask: npt.NDArray[np.bool_]) -> float:
    """Structural similarity (Wang et al. 2004) inside a mask (h, w) of two sRGB images (h, w, 3), -1 to 1: the same.

    The mean over the mask of the map that scikit-image computes with Gaussian windows, as the paper has it; windows at
    the mask's edge see what is beyond it.

    Raises:
        ValueError: an empty mask, or sides below the window's 11 pixels.
    """
    from skimage.metrics import structural_similarity

    if not mask.any():
        raise ValueError("the mask is empty")
    _, similarity = structural_similarity(
        image, truth, channel_axis=2, data_range=255, full=True, gaussian_weights=True, use_sample_covariance=False
    )
    return float(similarity[mask].mean())


def difference_outside(image: Pixels, original: Pixels, mask: npt.NDArray[np.bool_]) -> int:
    """The greatest difference of a channel (0 to 255) between two images (h, w, 3) where the mask (h, w) is not."""
    outside = ~mask
    if not outside.any():
        return 0
    return int(np.abs(image.astype(np.int16) - original.astype(np.int16))[outside].max())

"""The edges of any picture, hard or soft, by OpenCV alone."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from lapel.photos.masks.colours import to_lab

_SCALES = (1.0, 2.0, 4.0)
"""Over how many pixels of a picture of 512 its edges are looked for: hairlines as well as soft folds."""

_FAINT = 4.0
"""Steps of CIE Lab: where no edge of a picture is stronger, what is there is noise, and is not made white."""


def canny(picture: Image.Image, low: float, high: float) -> Image.Image:
    """White lines of one pixel on black (Canny, 1986), RGB, of the picture's size.

    Args:
        picture: RGB.
        low, high: gradients of 0 to 255 a pixel, as everywhere: edges begin above `high`, and go on above `low`.
    """
    return Image.fromarray(cv2.Canny(np.array(picture), low, high)).convert("RGB")


def soft_edges(picture: Image.Image) -> Image.Image:
    """How much colour changes around each pixel, white on black, RGB, of the picture's size.

    The steepest change of CIE Lab in any direction (Di Zenzo, 1986) at three scales, each by its width, so that a step
    counts the same at all of them; the strongest percent of the picture is white.
    """
    lab = to_lab(np.array(picture))
    strength = np.mean([_steps(lab, scale * min(picture.size) / 512) for scale in _SCALES], axis=0)
    white = max(float(np.percentile(strength, 99)), _FAINT)
    return Image.fromarray((np.clip(strength / white, 0, 1) * 255).round().astype(np.uint8)).convert("RGB")


def _steps(lab: np.ndarray, width: float) -> np.ndarray:
    """(h, w) the change of colour over that many pixels."""
    width = max(width, 0.5)
    blurred = cv2.GaussianBlur(lab, (0, 0), width)
    across, down = (cv2.Sobel(blurred, cv2.CV_32F, x, y, ksize=3) / 8 for x, y in ((1, 0), (0, 1)))
    along, mixed, upright = ((a * b).sum(axis=2) for a, b in ((across, across), (across, down), (down, down)))
    steepest = (along + upright + np.sqrt((along - upright) ** 2 + 4 * mixed**2)) / 2
    return np.asarray(np.sqrt(steepest) * width)

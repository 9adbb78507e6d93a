"""Colour of the garment region, compared as the eye does: delta E 2000 between CIE Lab colours, by colour-science."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

_OPTIONAL = ("matplotlib", "mpl_toolkits", "cycler", "scipy")

Pixels = npt.NDArray[np.uint8]


def _colour_science() -> Any:
    with warnings.catch_warnings():
        # it announces the optional parts that are not installed; none of them is used here
        warnings.simplefilter("ignore")
        import colour
    # For the optional parts that are missing it leaves stand-ins without a spec behind, which break those who look
    # later whether these libraries are there (diffusers does).
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in _OPTIONAL and getattr(module, "__spec__", None) is None:
            del sys.modules[name]
    return colour


def median_lab(image: Pixels, mask: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The median CIE Lab colour (D65) of an sRGB image within a mask, channel by channel.

    Args:
        image: (h, w, 3) uint8, sRGB.
        mask: (h, w); bool, or uint8 where 128 and more is inside.

    Returns:
        (3,): L in 0..100, a, b.

    Raises:
        ValueError: the mask has another size or is empty.
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(f"the mask is {mask.shape}, the image {image.shape[:2]}")
    inside = mask if mask.dtype == np.bool_ else mask >= 128
    if not inside.any():
        raise ValueError("the mask is empty")
    colour = _colour_science()
    lab = colour.XYZ_to_Lab(colour.sRGB_to_XYZ(image[inside] / 255.0))
    return np.median(lab, axis=0)


def delta_e(lab_a: npt.NDArray[np.float64], lab_b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Delta E 2000 between Lab colours (..., 3): 1 is just visible, 5 another shade, above 20 another colour."""
    return np.asarray(_colour_science().delta_E(lab_a, lab_b, method="CIE 2000"))


def colour_difference(image_a: Pixels, mask_a: npt.NDArray[Any], image_b: Pixels, mask_b: npt.NDArray[Any]) -> float:
    """Delta E 2000 between the median Lab colours of two images' masked regions.

    Images and masks as in `median_lab`; the two images may differ in size.

    Raises:
        ValueError: a mask has another size than its image, or is empty.
    """
    return float(delta_e(median_lab(image_a, mask_a), median_lab(image_b, mask_b)))

"""LPIPS (Zhang et al. 2018, arXiv:1801.03924): how different two images of the same thing look to AlexNet.

Only where its parts are at hand: the package `lpips` (extra `lpips`), which carries the weights that were fitted to
people's judgement, and torchvision's AlexNet in torch's cache, which nothing here downloads.
"""

from __future__ import annotations

import functools
import importlib.util
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

    from lapel.fidelity.region import Bools, Pixels


def alexnet_file() -> Path:
    """Where torch keeps AlexNet's weights, whether or not they are there."""
    import torch
    from torchvision.models import AlexNet_Weights

    return Path(torch.hub.get_dir()) / "checkpoints" / Path(AlexNet_Weights.IMAGENET1K_V1.url).name


def is_at_hand() -> bool:
    """Whether LPIPS can be measured without a download."""
    return importlib.util.find_spec("lpips") is not None and alexnet_file().is_file()


def lpips_inside(image: Pixels, truth: Pixels, mask: Bools) -> float:
    """LPIPS inside a mask (h, w) of two sRGB images (h, w, 3) uint8: 0 the same, above 0.5 nothing alike.

    The mean over the mask of its spatial map. What lies outside counts as far as the network's windows reach.

    Raises:
        ValueError: an empty mask.
    """
    import torch

    if not mask.any():
        raise ValueError("the mask is empty")
    with torch.inference_mode():
        apart: npt.NDArray[np.float32] = _network()(_pixels(image), _pixels(truth))[0, 0].numpy()
    return float(apart[mask].mean())


@functools.cache
def _network() -> Any:
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks torchvision in a way that is deprecated
        return lpips.LPIPS(net="alex", spatial=True, verbose=False)


def _pixels(image: Pixels) -> torch.Tensor:
    """(1, 3, h, w) from -1 to 1."""
    import torch

    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1

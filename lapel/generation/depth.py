"""How near what a picture shows is, and which way its surfaces face, by a depth model of transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

_METRIC = ("depth_pro", "glpn", "tipsv2_dpt", "zoedepth")
"""Models that tell how far things are, as do those whose settings say "metric"; all others tell how near."""

_RELIEF = 0.5
"""How deep a picture is, as a share of its shorter side: so a ball that fills it looks round."""


def nearness(picture: Image.Image, model: Any) -> Floats:
    """(h, w) from 0, the farthest that a picture shows, to 1, the nearest, by inverse distance.

    Args:
        picture: RGB.
        model: transformers' pipeline for "depth-estimation".
    """
    depth = np.asarray(model(picture)["predicted_depth"], np.float32)
    config = model.model.config
    if config.model_type in _METRIC or getattr(config, "depth_estimation_type", "relative") == "metric":
        depth = np.float32(1) / np.maximum(depth, np.float32(1e-3))
    if depth.shape != (picture.height, picture.width):
        depth = np.asarray(Image.fromarray(depth).resize(picture.size, Image.Resampling.BICUBIC), np.float32)
    low, high = float(depth.min()), float(depth.max())
    return (depth - low) / max(high - low, 1e-6)


def depth_map(near: Floats) -> Image.Image:
    """The map that depth ControlNets read, RGB: what is near is white."""
    return Image.fromarray((near * 255).round().astype(np.uint8)).convert("RGB")


def normal_map(near: Floats) -> Image.Image:
    """The map that normal ControlNets read since 1.1, RGB: red faces left, green up, blue the viewer.

    The surface is taken for a relief, seen from straight ahead: without the camera's angle no more can be known.
    """
    down, across = np.gradient(near * _RELIEF * min(near.shape))
    facing = np.stack([across, down, np.ones_like(near)], axis=2)
    facing /= np.linalg.norm(facing, axis=2, keepdims=True)
    return Image.fromarray(((facing + 1) / 2 * 255).round().astype(np.uint8))

"""From a coarse region to a mask with the photo's own edges."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

_PART = 0.1
"""A part of the region that weighs less than this share of the heaviest is a speck, or a shadow on the floor."""

_HOLE = 0.004
"""A hole smaller than this share of the region is closed: a button, a buckle, a letter in the background's colour."""

_SMOOTH = 4e-4
"""Guided filter's epsilon: edges stronger than about 2 % of black to white are followed."""


def tidy(region: Bools, prior: Floats) -> Bools:
    """(h, w) the region without specks and small holes; parts weigh what the `prior` (h, w) of their place does."""
    count, parts = cv2.connectedComponents(region.astype(np.uint8), connectivity=8)
    if count < 2:
        return region
    weights = np.bincount(parts.ravel(), prior.ravel(), minlength=count)[1:]
    region = np.isin(parts, np.flatnonzero(weights >= _PART * weights.max()) + 1)
    _, holes, stats, _ = cv2.connectedComponentsWithStats((~region).astype(np.uint8), connectivity=4)
    small = np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] < _HOLE * region.sum()) + 1
    return region | np.isin(holes, small)


def follow_edges(region: Bools, guide: Floats) -> Floats:
    """(H, W) 0 to 1: the region brought to the size of `guide` (H, W, grey in 0..1), with the guide's edges.

    The guided filter of He, Sun and Tang (2010), at a radius of one and a half pixels of the region.
    """
    height, width = guide.shape
    coarse = cv2.resize(region.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    radius = max(1, round(1.5 * height / region.shape[0]))

    def mean(values: Floats) -> Floats:
        return cv2.blur(values, (2 * radius + 1, 2 * radius + 1))

    mean_guide, mean_coarse = mean(guide), mean(coarse)
    slope = (mean(guide * coarse) - mean_guide * mean_coarse) / (mean(guide * guide) - mean_guide**2 + _SMOOTH)
    offset = mean_coarse - slope * mean_guide
    alpha = mean(slope) * guide + mean(offset)
    # The filter leaves a haze: what is nearly in or out is all in or out.
    return np.clip((alpha - 0.1) / 0.8, 0, 1)

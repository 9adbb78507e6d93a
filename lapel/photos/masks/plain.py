"""Where the garment is, when nobody has said: what stands out from a plain background."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

_WORKING_SIDE = 640
"""Pixels of the longer side while looking for the garment; finer edges than this do not survive training."""

_PLAIN_SHARE = 2 / 3
"""The share of the border that must be background: a cropped figure may touch a side, a floor touches three."""

_DOUBTFUL_SHARE = 0.03
"""The share of the background that may be only just like it. Real and drawn backdrops stay below 0.02; brick walls,
clouds, and white garments that the flood ran into are above."""

_REACHES = 0.05
"""The share of a side that has to be covered to count as reached."""

Floats = npt.NDArray[np.float32]


def plain_background_mask(photo: Image.Image) -> Image.Image | None:
    """The mask (mode L, the photo's size, soft edges) of what stands on a plain or evenly lit background.

    The background's colour is a smooth surface in CIE Lab fitted from the border inwards, so that a lit backdrop counts
    as plain; what is close to it and joined to the border is background. None where the border is not plain, where
    the background found is not (so that it may be part of a pale garment), or where next to nothing, or nearly
    everything, would be left.
    """
    lab = _small_lab(photo)
    distance = _distance_to_background(lab)
    if distance is None:
        return None
    foreground = _joined_to_border(distance)
    share = foreground.mean()
    if not 0.01 < share < 0.97 or foreground[_border(*foreground.shape)].mean() > 1 - _PLAIN_SHARE:
        return None
    if (distance[~foreground] > 0.5).mean() > _DOUBTFUL_SHARE:
        return None
    soft = cv2.GaussianBlur(foreground.astype(np.float32), (0, 0), 1.0)
    full = cv2.resize(soft, photo.size, interpolation=cv2.INTER_LINEAR)
    return Image.fromarray((np.clip(full, 0, 1) * 255).round().astype(np.uint8))


def is_close_up(photo: Image.Image) -> bool:
    """Whether what is photographed goes on beyond the frame: it reaches three sides, or no background is plain."""
    mask = plain_background_mask(photo)
    if mask is None:
        return True
    inside = np.asarray(mask) >= 128
    sides = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
    return sum(bool(side.mean() > _REACHES) for side in sides) >= 3


def _small_lab(photo: Image.Image) -> Floats:
    """(h, w, 3) CIE Lab, L in 0..100, at the working size."""
    small = photo.copy()
    small.thumbnail((_WORKING_SIDE, _WORKING_SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.float32) / 255
    # The median takes away a phone's grain and keeps edges where they are.
    return cv2.medianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB), 5)


def _border(height: int, width: int) -> npt.NDArray[np.bool_]:
    ring = max(2, min(height, width) // 50)
    border = np.ones((height, width), bool)
    border[ring:-ring, ring:-ring] = False
    return border


def _surface(height: int, width: int) -> Floats:
    """(h, w, 6) the terms of a quadratic over the picture, which follows a lamp's fall-off and a vignette."""
    down, across = np.indices((height, width), dtype=np.float32) / np.array([height, width], np.float32)[:, None, None]
    return np.stack([np.ones_like(down), down, across, down * across, down**2, across**2], axis=2)


def _distance_to_background(lab: Floats) -> Floats | None:
    """(h, w) distance to the background's fitted colour, as a share of how far background strays: it is below 1.

    None where the border is not plain.
    """
    border = _border(*lab.shape[:2])
    terms = _surface(*lab.shape[:2])
    colours = lab[border]
    # The commonest colour of the border, in steps of 8, starts the fit, and a plane settles which of the border belong.
    cells, counts = np.unique(np.floor(colours / 8), axis=0, return_counts=True)
    near = np.linalg.norm(colours - (cells[counts.argmax()] + 0.5) * 8, axis=1) < 14
    for _ in range(3):
        plane, *_ = np.linalg.lstsq(terms[border][near, :3], colours[near], rcond=None)
        residual = np.linalg.norm(colours - terms[border][:, :3] @ plane, axis=1)
        near = residual < 8
        if near.mean() < 0.5:
            return None
    distance = np.linalg.norm(lab - terms[..., :3] @ plane, axis=2)
    # From the border the background grows inwards, and the quadratic with it.
    reach = _stray(residual[near])
    for _ in range(3):
        background = ~_joined_to_border(distance / reach)
        surface, *_ = np.linalg.lstsq(terms[background][::7], lab[background][::7], rcond=None)
        distance = np.linalg.norm(lab - terms @ surface, axis=2)
    return distance / _stray(distance[border][distance[border] < 8])


def _stray(residual: Floats) -> float:
    """How far a background pixel may be from the fit: noise and compression set it, within bounds."""
    return float(np.clip(3 * np.percentile(residual, 90), 2.5, 9))


def _joined_to_border(distance: Floats) -> npt.NDArray[np.bool_]:
    """(h, w) foreground: all but the background that can be reached from the border, tidied."""
    unlike = (distance >= 1).astype(np.uint8)
    round_kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    # Closing seals the small gaps through which the flood would run into a garment that is pale as its background.
    sealed = cv2.morphologyEx(unlike, cv2.MORPH_CLOSE, round_kernel)
    _, labels = cv2.connectedComponents(1 - sealed, connectivity=4)
    border = _border(*distance.shape)
    outside = np.unique(labels[border & (sealed == 0)])
    foreground = (~np.isin(labels, outside[outside > 0])).astype(np.uint8)

    # Specks go; a pair of shoes, or a garment beside its belt, stays.
    _, parts, stats, _ = cv2.connectedComponentsWithStats(foreground, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if len(areas) == 0:
        return foreground.astype(bool)
    kept = np.flatnonzero(areas >= 0.05 * areas.max()) + 1
    return np.isin(parts, kept)

"""Texture of the garment, without any weights: gradient orientations and autocorrelation at several scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_SIDE = 64.0
"""Pixels of a square with the region's area, to which it is brought, so that near and far garments compare."""

_SCALES = (1.0, 2.0, 4.0)
"""Standard deviations of the derivative filters, in those pixels."""

_ORIENTATIONS = 8

_LAGS = np.arange(2, 21, 2)
"""In those pixels: periods from about a tenth to two thirds of a garment's width show."""

_FAINT = 12.0
"""Contrast in Lab below which texture counts by halves: folds and light on a plain garment are no pattern."""

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Structure:
    """What a region's texture is like, whatever its colours."""

    gradients: Floats
    """(scales, orientations) mean gradient by orientation, as a share of gradient and `_FAINT` together."""
    correlation: Floats
    """(orientations, lags) autocorrelation, times the share of contrast and `_FAINT` together: -1..1."""


def structure(image: Pixels, region: npt.NDArray[np.bool_]) -> Structure:
    """The structure of a region (h, w) of an sRGB image (h, w, 3) uint8.

    Raises:
        ValueError: the region is empty.
    """
    if not region.any():
        raise ValueError("the region is empty")
    lab, weight = _normalised(image, region)
    return Structure(_gradients(lab, weight), _correlation(lab, weight))


def structure_difference(one: Structure, others: Sequence[Structure]) -> float:
    """How far a structure is from the nearest of several, 0 the same to 1.

    The mean of two distances: of gradient orientations at each scale, and of autocorrelations. The nearest counts, for
    a garment's front and back, or flat and worn, may differ more than two garments do.
    """
    return min((_distance(one.gradients, o.gradients) + _distance(one.correlation, o.correlation)) / 2 for o in others)


def _distance(one: Floats, other: Floats) -> float:
    """Bray and Curtis's: the difference as a share of what there is, and of a little more, for noise is no texture."""
    return float(np.abs(one - other).sum() / (np.abs(one) + np.abs(other)).sum().clip(0.12 * one.size))


def _normalised(image: Pixels, region: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Lab (h, w, 3) and the weight (h, w) of the region's surroundings, at the size of comparison."""
    import cv2

    scale = _SIDE / np.sqrt(region.sum())
    rows, columns = np.nonzero(region)
    box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    size = tuple(max(8, round(length * scale)) for length in region[box].shape[::-1])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    pixels = cv2.resize(image[box].astype(np.float32) / 255, size, interpolation=method).clip(0, 1)
    weight = cv2.resize(region[box].astype(np.float32), size, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.float64)
    inside = cv2.erode((weight > 0.99).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float64)
    return lab, inside if inside.sum() > 64 else weight


def _gradients(lab: Floats, weight: Floats) -> Floats:
    import cv2

    result = np.zeros((len(_SCALES), _ORIENTATIONS))
    for row, sigma in zip(result, _SCALES, strict=True):
        # Normalised convolution (Knutsson, Westin 1993): what lies outside the region has no say.
        share = cv2.GaussianBlur(weight, (0, 0), sigma)
        smooth = cv2.GaussianBlur(lab * weight[..., None], (0, 0), sigma) / np.maximum(share, 1e-6)[..., None]
        down, across = (np.gradient(smooth, axis=axis) * sigma for axis in (0, 1))
        # The structure tensor of all three channels: an edge between two dyes of one lightness is an edge.
        xx, yy, xy = (across**2).sum(-1), (down**2).sum(-1), (across * down).sum(-1)
        strength = np.sqrt(xx + yy) * (share > 0.75) * weight
        angle = 0.5 * np.arctan2(2 * xy, xx - yy) / np.pi * _ORIENTATIONS
        low = np.floor(angle).astype(int)
        for step, part in ((0, 1 - (angle - low)), (1, angle - low)):
            np.add.at(row, (low + step) % _ORIENTATIONS, strength * part)
        row /= max(float(weight.sum()), 1.0)
    return result / (result.sum(axis=1, keepdims=True) + _FAINT / 4)


def _correlation(lab: Floats, weight: Floats) -> Floats:
    """Masked autocorrelation (Padfield 2012) of the three channels together, along lines through the origin."""
    mean = (lab * weight[..., None]).sum((0, 1)) / weight.sum()
    centred = (lab - mean) * weight[..., None]
    variance = float((centred**2).sum() / weight.sum())
    shape = [2 * length for length in weight.shape]
    power = sum(np.abs(np.fft.rfft2(centred[..., channel], shape)) ** 2 for channel in range(3))
    together = np.fft.irfft2(np.asarray(power), shape)
    pairs = np.fft.irfft2(np.abs(np.fft.rfft2(weight, shape)) ** 2, shape)
    angles = np.arange(_ORIENTATIONS) * np.pi / _ORIENTATIONS
    lags = [np.round(wave(angles)[:, None] * _LAGS).astype(int) for wave in (np.sin, np.cos)]
    down, across = (np.clip(lag, 1 - side, side - 1) for lag, side in zip(lags, weight.shape, strict=True))
    values = together[down, across] / np.maximum(pairs[down, across], 0.05 * weight.sum())
    contrast = np.sqrt(variance)
    return values / max(variance, 1e-9) * contrast / (contrast + _FAINT)

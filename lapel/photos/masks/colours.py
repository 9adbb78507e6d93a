"""Which colours are the garment's: histograms in CIE Lab, learned from a place where it is likely to be."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_CELLS = (16, 20, 20)
"""Of L, a and b; each axis is blurred by one cell, so that shades of one colour meet."""

_ROUNDS = 4


def to_lab(pixels: npt.NDArray[np.uint8]) -> Floats:
    """(h, w, 3) CIE Lab, L in 0..100, of sRGB (h, w, 3) uint8."""
    return cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def learn_garment(lab: Floats, prior: Floats, weight: Floats) -> Floats:
    """(h, w) the probability that a pixel is the garment's, by its colour and its place.

    Expectation maximisation over two colour histograms, garment and everything else, which start from the `prior`
    (h, w) of the place; `weight` (h, w) is how much a pixel says about everything else.
    """
    cells = _cells(lab)
    probability: Floats = prior
    for _ in range(_ROUNDS):
        garment = _histogram(cells, probability)[cells]
        rest = _histogram(cells, (1 - probability) * weight)[cells]
        probability = (prior * garment / (prior * garment + (1 - prior) * rest)).astype(np.float32)
    return probability


def palette(lab: Floats, region: npt.NDArray[np.bool_]) -> Floats:
    """(6400,) the share of each cell of colours in a region (h, w) of CIE Lab (h, w, 3)."""
    return _histogram(_cells(lab), region.astype(np.float32))


def shared(one: Floats, other: Floats) -> float:
    """Bhattacharyya's coefficient of two palettes: 0 where no colour is shared, 1 where they are the same."""
    return float(min(np.sqrt(one * other).sum(), 1.0))


def _cells(lab: Floats) -> npt.NDArray[np.int64]:
    """(h, w) the number of each pixel's histogram cell."""
    shares = np.stack([lab[..., 0] / 100, (lab[..., 1] + 80) / 160, (lab[..., 2] + 80) / 160], axis=-1)
    steps = np.clip(shares * _CELLS, 0, np.array(_CELLS) - 1).astype(np.int64)
    return np.ravel_multi_index(tuple(np.moveaxis(steps, -1, 0)), _CELLS)


def _histogram(cells: npt.NDArray[np.int64], weights: Floats) -> Floats:
    """The share of each cell, flat; no cell is impossible."""
    counts = np.bincount(cells.ravel(), weights.ravel(), minlength=int(np.prod(_CELLS))).reshape(_CELLS)
    padded = np.pad(counts, 1)
    for axis in range(3):
        padded = 0.5 * padded + 0.25 * (np.roll(padded, 1, axis) + np.roll(padded, -1, axis))
    flat = padded[1:-1, 1:-1, 1:-1].ravel()
    return (flat / max(flat.sum(), 1e-9) + 1e-6).astype(np.float32)


def skin_likeness(lab: Floats) -> Floats:
    """(h, w) 0 to 1: how like human skin, of any tone, a colour is; tan cloth and wood are like it too."""
    lightness, chroma = lab[..., 0], np.hypot(lab[..., 1], lab[..., 2])
    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))
    strongest = 22 + 0.35 * lightness
    return (
        _within(hue, 35, 72, 8)
        * _within(chroma, 12, 42, 4)
        * _within(lightness, 25, 92, 6)
        * np.clip((strongest - chroma) / 6 + 1, 0, 1)
    )


def _within(values: Floats, low: float, high: float, slope: float) -> Floats:
    """1 from `low` to `high`, falling to 0 over `slope` on either side."""
    return np.clip(np.minimum((values - low) / slope + 1, (high - values) / slope + 1), 0, 1)

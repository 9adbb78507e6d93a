"""Colour of the garment, compared as the eye does: delta E 2000 between dominant colours, by colour-science."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_OPTIONAL = ("matplotlib", "mpl_toolkits", "cycler")

_CLUSTERS = 8
"""Found at first; those of one dye are then joined."""

_ONE_DYE = 8.0
"""Delta E below which two clusters are lights of one dye. Lightness counts half, as CIE recommends for textiles."""

_LEAST_SHARE = 0.04
"""Clusters of less are seams, buttons and what is left of mixtures."""

_FLAT = 4.0
"""Steps of Lab to the neighbouring pixels below which a pixel is a colour of its own, not a mixture of two."""

_LEAST_FLAT = 0.3
"""So many pixels, the flattest, count in any case: a fine pattern may have no flat ones."""

_PIXELS = 4000
"""Of an image at most; more say nothing more of its colours."""

_SLACK = 1.5
"""A colour's share may be so many times as large or small in the other image: how a garment lies changes the shares."""

_SEEN = 0.05
"""The least share of the garment that must go from one colour to another for the pair to be the worst."""

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Palette:
    """The dominant colours of a garment, the commonest first."""

    lab: Floats
    """(k, 3) CIE Lab (D65)."""
    shares: Floats
    """(k,) of the garment; they add up to 1."""


@dataclass(frozen=True)
class ColourDifference:
    """Delta E 2000 between two palettes: 0 the same, 1 just visible, 5 another shade, above 20 another colour."""

    mean: float
    """Over the garment: the earth mover's distance (Rubner, Tomasi, Guibas 2000). The steadiest of the three."""
    median: float
    """Over the garment: half of it is at most so far off."""
    worst: float
    """Of the colours that pair up: what a wrong second colour shows in."""


@functools.cache
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


def to_lab(pixels: Pixels) -> Floats:
    """(..., 3) CIE Lab (D65), L in 0..100, of sRGB (..., 3) uint8."""
    colour = _colour_science()
    return np.asarray(colour.XYZ_to_Lab(colour.sRGB_to_XYZ(pixels / 255.0)))


def from_lab(lab: Floats) -> Pixels:
    """sRGB (..., 3) uint8 of CIE Lab (D65); what a screen cannot show is clipped."""
    colour = _colour_science()
    return (colour.XYZ_to_sRGB(colour.Lab_to_XYZ(lab)).clip(0, 1) * 255).round().astype(np.uint8)


def delta_e(lab_a: Floats, lab_b: Floats, textiles: bool = False) -> Floats:
    """Delta E 2000 (CIE 142-2001; Sharma, Wu, Dalal 2005) between Lab colours (..., 3).

    With `textiles`, lightness counts half (k_L = 2), as CIE recommends for cloth, whose lightness its folds change.
    """
    return np.asarray(_colour_science().delta_E(lab_a, lab_b, method="CIE 2000", textiles=textiles))


def dominant_colours(images: Sequence[Pixels], masks: Sequence[npt.NDArray[Any]]) -> Palette:
    """The dominant colours of a garment in one or several images of it, each counting the same.

    Pixels between two colours (antialiasing, blur) are left out where there are others; k-means clusters in Lab are
    joined while they are lights of one dye.

    Args:
        images: (h, w, 3) uint8, sRGB; they may differ in size.
        masks: (h, w) of each; bool, or uint8 where 128 and more is inside.

    Raises:
        ValueError: a mask has another size than its image, or is empty.
    """
    import cv2

    samples = [_own_colours(image, _inside(image, mask)) for image, mask in zip(images, masks, strict=True)]
    count = min(_PIXELS, max(map(len, samples)))
    pixels = np.concatenate([lab[np.linspace(0, len(lab) - 1, count).astype(int)] for lab in samples])
    clusters = min(_CLUSTERS, len(np.unique(pixels, axis=0)))
    cv2.setRNGSeed(0)  # its seeding draws from OpenCV's global random state
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 0.1)
    _, labels, lab = cv2.kmeans(pixels.astype(np.float32), clusters, None, stop, 2, cv2.KMEANS_PP_CENTERS)
    shares = np.bincount(labels.ravel(), minlength=clusters) / len(pixels)
    return _tidy(*_joined(lab.astype(np.float64), shares))


def colour_difference(one: Palette, other: Palette) -> ColourDifference:
    """Delta E 2000 between two palettes, in 0 to about 100; how much of which colour became which is transported.

    Shares may stretch by half on either side, so that more sleeve than chest is no difference; beyond that, and
    where a colour has no counterpart, the garment's share goes to the nearest colour there is.
    """
    distances = delta_e(one.lab[:, None], other.lab[None])
    plan = transport(distances, one.shares, other.shares)
    moved = plan.ravel() > 1e-9
    amounts, costs = plan.ravel()[moved], distances.ravel()[moved]
    order = np.argsort(costs)
    half = np.searchsorted(np.cumsum(amounts[order]), 0.5 - 1e-9)
    worst = costs[amounts >= min(_SEEN, amounts.max())].max()
    return ColourDifference(float(amounts @ costs), float(costs[order][half]), float(worst))


def _inside(image: Pixels, mask: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if image.shape[:2] != mask.shape:
        raise ValueError(f"the mask is {mask.shape}, the image {image.shape[:2]}")
    inside: npt.NDArray[np.bool_] = mask if mask.dtype == np.bool_ else mask >= 128
    if not inside.any():
        raise ValueError("the mask is empty")
    return inside


def _own_colours(image: Pixels, inside: npt.NDArray[np.bool_]) -> Floats:
    """(n, 3) Lab of the pixels inside that are no mixture of what lies on either side of them."""
    lab = to_lab(image)
    steps = np.zeros(inside.shape)
    for axis in (0, 1):
        padded = np.pad(lab, [(1, 1) if side == axis else (0, 0) for side in range(3)], mode="edge")
        between = np.linalg.norm(np.diff(padded, axis=axis), axis=-1)
        before, after = (np.take(between, range(start, start + lab.shape[axis]), axis) for start in (0, 1))
        # At a hard edge one side is flat; only in the midst of a slope are both steep.
        steps = np.maximum(steps, np.minimum(before, after))
    steps = steps[inside]
    return lab[inside][steps <= max(_FLAT, float(np.quantile(steps, _LEAST_FLAT)))]


def _joined(lab: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """Clusters with the two nearest joined until none are lights of one dye."""
    while len(lab) > 1:
        distances = delta_e(lab[:, None], lab[None], textiles=True) + np.where(np.eye(len(lab)), np.inf, 0)
        first, second = sorted(np.unravel_index(distances.argmin(), distances.shape))
        if distances[first, second] >= _ONE_DYE:
            break
        pair = [first, second]
        lab[first] = shares[pair] @ lab[pair] / shares[pair].sum()
        shares[first] = shares[pair].sum()
        lab, shares = np.delete(lab, second, axis=0), np.delete(shares, second)
    return lab, shares


def _tidy(lab: Floats, shares: Floats) -> Palette:
    """The commonest first, without what is too small to be a colour of the garment."""
    order = np.argsort(-shares, kind="stable")
    lab, shares = lab[order], shares[order]
    kept = (shares >= _LEAST_SHARE) | (np.arange(len(shares)) == 0)
    return Palette(lab[kept], shares[kept] / shares[kept].sum())


def transport(distances: Floats, sources: Floats, sinks: Floats) -> Floats:
    """(k, m) the cheapest plan that brings all of the garment over, by linear programming (SciPy's HiGHS)."""
    from scipy.optimize import linprog

    rows, columns = distances.shape
    out, into = np.kron(np.eye(rows), np.ones(columns)), np.kron(np.ones(rows), np.eye(columns))
    both, shares = np.concatenate([out, into]), np.concatenate([sources, sinks])
    limits = np.concatenate([shares * _SLACK, -shares / _SLACK])
    all_of_it = np.ones((1, rows * columns))
    solved = linprog(distances.ravel(), np.concatenate([both, -both]), limits, all_of_it, [1.0])
    return np.asarray(solved.x).reshape(rows, columns)

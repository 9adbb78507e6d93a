"""One score for a set of generated images, from its measures, with its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

Marks = Mapping[str, Floats]
"""What each image measures, (n,) by the measure's name: `colour` (delta E 2000), `structure` (0 to 1, the same is 0),
where there is a tower `identity` (cosine), and where it knows words `margin` (see `lapel.fidelity.prompt`)."""

_COLOUR_SCALE = 10.0
"""Delta E by which the mark for colour falls to 1/e: 2 is worth 0.82, 5 is worth 0.61, 20 is worth 0.14."""

_LEAST_MARGIN = 0.02
"""Of the base: below it the base itself does not show what the prompt says."""

_CLEAR = 0.8
"""Of the base's margin: an image with so much of it shows its prompt. Photos of true garments in the scenes asked for
have 0.93 of it, and 0.98 so."""

_RESAMPLES = 1000


@dataclass(frozen=True)
class Score:
    """The score of a set of images, 0 to 1, and the interval that 90 % of bootstrap resamples of the images lie in."""

    value: float
    low: float
    high: float


def fidelity_marks(marks: Marks) -> Floats:
    """(n,) how truly each image shows the garment, 0 to 1: the mean of its marks for colour, structure and identity."""
    parts = [np.exp(-marks["colour"] / _COLOUR_SCALE), 1 - marks["structure"]]
    if "identity" in marks:
        parts.append(marks["identity"].clip(0, 1))
    return np.mean(parts, axis=0)


def prompt_marks(marks: Marks, base: Marks, prompts: int) -> Floats | None:
    """(n,) how much of its prompt each image keeps, 0 to 1: its margin as a share of what the base's shows to be clear.

    Args:
        marks, base: of the images and of the base's own, prompt by prompt, the same number of seeds for each.
        prompts: how many prompts there are.

    Returns:
        None where there is no tower to read prompts.
    """
    if "margin" not in marks or "margin" not in base:
        return None
    own = np.repeat(base["margin"].reshape(prompts, -1).mean(axis=1), len(marks["margin"]) // prompts)
    return (marks["margin"] / (_CLEAR * own.clip(_LEAST_MARGIN))).clip(0, 1)


def score(marks: Marks, base: Marks, prompts: int) -> Score:
    """Fidelity and prompt kept in balance: the harmonic mean of their means, so that neither makes up for the other.

    Without a tower that knows words it is fidelity alone. Arguments as of `prompt_marks`.
    """
    values = _values(marks, base, prompts, _resamples(len(marks["colour"])))
    low, high = np.quantile(values[1:], (0.05, 0.95))
    return Score(float(values[0]), float(low), float(high))


def sure_gain(later: Marks, earlier: Marks, base: Marks, prompts: int, sure: float) -> bool:
    """Whether the later images score higher than the earlier ones, of the same seeds, in a share
    of `sure` resamples or more.

    The bootstrap is paired: what a seed adds to both is no gain.
    """
    rows = _resamples(len(later["colour"]))
    gains = _values(later, base, prompts, rows) - _values(earlier, base, prompts, rows)
    return bool(gains[0] > 0 and np.quantile(gains[1:], 1 - sure) > 0)


def _resamples(count: int) -> npt.NDArray[np.int64]:
    """(1 + resamples, n) rows of images; the first is all of them once."""
    drawn = np.random.default_rng(0).integers(0, count, (_RESAMPLES, count))
    return np.concatenate([np.arange(count)[None], drawn])


def _values(marks: Marks, base: Marks, prompts: int, rows: npt.NDArray[np.int64]) -> Floats:
    fidelity = fidelity_marks(marks)[rows].mean(axis=1)
    kept = prompt_marks(marks, base, prompts)
    if kept is None:
        return fidelity
    prompt = kept[rows].mean(axis=1)
    return 2 * fidelity * prompt / (fidelity + prompt).clip(1e-9)

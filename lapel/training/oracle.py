"""What a perfect adapter would get: the garment's own photos, through the measures that samples go through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lapel.fidelity.judge import Judge, sure_mask
from lapel.fidelity.score import Marks

if TYPE_CHECKING:
    from datasets import Dataset

    from lapel.fidelity.identity import ImageTower

_MOST = 6
"""Photos that are measured; more would take time and say no more."""


def oracle_marks(photos: Dataset, spare: int | None, class_word: str, tower: ImageTower | None) -> Marks:
    """The marks of the garment's whole photos, by their own masks; empty where there is nothing to hold them against.

    They are held against the photo in row `spare`, as samples are; where none was spared, each against the others.
    What no photo has, a margin of its prompt, is not among them.
    """
    whole = [row for row, view in enumerate(photos["view"]) if view != "detail" and row != spare]
    measured = whole[:_MOST]
    if spare is not None:
        return _marks(photos, measured, [spare], class_word, tower)
    if len(whole) < 2:
        return {}
    apart = [_marks(photos, [row], [r for r in whole if r != row], class_word, tower) for row in measured]
    return {name: np.concatenate([one[name] for one in apart]) for name in apart[0]}


def _marks(
    photos: Dataset, rows: Sequence[int], against: Sequence[int], class_word: str, tower: ImageTower | None
) -> Marks:
    if not rows:
        return {}
    judge = Judge([photos[row] for row in against], class_word, tower)
    shown = [photos[row] for row in rows]
    masks = [sure_mask(row["mask"], row["mask_trust"]) for row in shown]
    return judge.measure([row["image"] for row in shown], [""] * len(shown), masks)

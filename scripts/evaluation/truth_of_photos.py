"""What is known of a garment of which there are photos only: one is held out, and images are held against it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.exam_settings import ExamSettings
from evaluation.truth import Around, Drawn, Truth, around, means

if TYPE_CHECKING:
    import torch

    from evaluation.cases import OfClass, PhotoCase
    from lapel.fidelity import ImageTower
    from lapel.fidelity.judge import Judge
    from lapel.fidelity.region import Bools


class PhotoTruth(Truth):
    """Of a garment folder; the right garment is to be found among the other folders that are examined."""

    def __init__(self, case: PhotoCase, settings: ExamSettings, tower: ImageTower, of_class: OfClass) -> None:
        super().__init__(case, settings, tower, of_class)
        self.case = case

    @cached_property
    def judge(self) -> Judge:
        """Knows the photo that is held out."""
        from lapel.fidelity.judge import Judge

        return Judge([self.case.spare], self.class_word, self.tower)

    @cached_property
    def learned(self) -> Around:
        """What is around the garment in the other photos."""
        rows = self.case.learned
        return around([row["image"] for row in rows], _masks(rows), [row["view"] for row in rows])

    @cached_property
    def gallery(self) -> list[torch.Tensor]:
        """The photos that are held out, of every garment one."""
        spare = [case.spare for case in (self.case, *self.case.others)]
        return [self._seen([row]) for row in spare] if self.case.others else []

    def real_figures(self, whole: bool) -> tuple[dict[str, Any], Drawn | None]:
        """Of the photos that are learned from, which answer no prompt: their colour, structure and similarity."""
        rows = [row for row in self.case.learned if row["view"] != "detail"] or self.case.learned
        images = [row["image"] for row in rows]
        return means(self.judge.measure(images, [""] * len(images), _masks(rows))), None

    def _seen(self, rows: Sequence[Any]) -> torch.Tensor:
        return self.tower.embed_regions([np.asarray(row["image"]) for row in rows], _masks(rows))


def _masks(rows: Sequence[Any]) -> list[Bools]:
    from lapel.fidelity.judge import sure_mask

    return [sure_mask(row["mask"], row["mask_trust"]) for row in rows]

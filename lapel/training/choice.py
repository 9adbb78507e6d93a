"""Which step of a run is exported, whether it may end early, and at which strength the adapter is best worn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lapel.fidelity.score import Marks, Score, fidelity_marks, score, sure_gain
from lapel.photos.masks import TRUSTED
from lapel.training.run_settings import ChoiceSettings

_LATER, _OTHER_WEIGHT = 0.75, 0.9
"""The share of resamples that must show a gain: little for a later step, from which better is to be expected, and more
for another weight than the one that was trained."""

_ENOUGH_PHOTOS = 5
"""From which on one is held out."""


def held_out(photos: Sequence[Mapping[str, Any]]) -> int | None:
    """The row of the photo to measure by rather than to learn from; None where none can be spared.

    Of five photos or more, one whose view others show too, so that nothing of the garment is seen only there; no
    detail, for no image is to look like one; rather one with a trusted mask; of the commonest view, the last.
    """
    views = Counter(row["view"] for row in photos)
    spare = [n for n, row in enumerate(photos) if views[row["view"]] > 1 and row["view"] != "detail"]
    if len(photos) < _ENOUGH_PHOTOS or not spare:
        return None
    return max(spare, key=lambda n: (photos[n]["mask_trust"] >= TRUSTED, views[photos[n]["view"]], n))


class Choice:
    """The best step so far, with its weights; part of checkpoints, so that a resumed run chooses as an unbroken one.

    Args:
        settings: how long without a gain is long enough.
        weights: the trained parameters, by name, as they are at each step.
        prompts: how many prompts the images are of.
    """

    def __init__(self, settings: ChoiceSettings, weights: Mapping[str, Tensor], prompts: int) -> None:
        self.settings, self.weights, self.prompts = settings, weights, prompts
        self.step = 0
        """The best; 0 before the first."""
        self.scores: dict[int, Score] = {}
        self._base: Marks = {}
        self._marks: Marks = {}
        self._kept: dict[str, Tensor] = {}

    @property
    def enough(self) -> bool:
        """Whether no gain has come for as many evaluations as the settings are patient for."""
        later = sum(step > self.step for step in self.scores)
        return bool(self.settings.patience) and later >= self.settings.patience

    def knows(self, step: int) -> bool:
        """Whether the step was considered."""
        return step in self.scores or (step == 0 and bool(self._base))

    def consider(self, step: int, marks: Marks) -> dict[str, float]:
        """Take in the marks of a step's images, keep its weights if it is a sure gain; returns what to log.

        The marks of step 0 are the base's own, which show how well prompts can be kept.
        """
        if step == 0:
            self._base = marks
            return {}
        reached = score(marks, self._base, self.prompts)
        if self.step == 0 or sure_gain(marks, self._marks, self._base, self.prompts, _LATER):
            self.step, self._marks = step, marks
            self._kept = {name: weight.detach().cpu().clone() for name, weight in self.weights.items()}
        self.scores[step] = reached
        return {**_told(reached), **{name: float(values.mean()) for name, values in marks.items()}}

    @torch.no_grad()
    def restore(self) -> None:
        """Put the weights of the best step back in place."""
        for name, weight in self._kept.items():
            self.weights[name].copy_(weight)

    def strength(self, marks: Mapping[float, Marks]) -> float:
        """The best of the weights that the chosen images were drawn at again; 1 unless another is a sure gain."""
        best, of_best = 1.0, self._marks
        for weight, found in marks.items():
            if sure_gain(found, of_best, self._base, self.prompts, _OTHER_WEIGHT):
                best, of_best = weight, found
        return best

    def facts(self) -> dict[str, Any]:
        """How many steps were taken, the best one and its scores, and the base's own, for the card."""
        own = score(self._base, self._base, self.prompts)
        return {
            "steps": max(self.scores),
            "kept_step": self.step,
            "scores": {**_told(self.scores[self.step]), **mean_marks(self._marks)},
            "base_scores": {**_told(own), **mean_marks(self._base)},
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything, in tensors and numbers, which `torch.load(weights_only=True)` reads."""
        return {
            "step": self.step,
            "scores": {step: (one.value, one.low, one.high) for step, one in self.scores.items()},
            "base": {name: torch.from_numpy(values) for name, values in self._base.items()},
            "marks": {name: torch.from_numpy(values) for name, values in self._marks.items()},
            "kept": dict(self._kept),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As `state_dict` gave it."""
        self.step, self._kept = state["step"], state["kept"]
        self.scores = {step: Score(*values) for step, values in state["scores"].items()}
        self._base = {name: np.asarray(values) for name, values in state["base"].items()}
        self._marks = {name: np.asarray(values) for name, values in state["marks"].items()}


def mean_marks(marks: Marks) -> dict[str, float]:
    """Means over the images for the card, that of their marks together, `fidelity`, first."""
    all_marks = {"fidelity": fidelity_marks(marks), **marks}
    return {name: round(float(values.mean()), 4) for name, values in all_marks.items()}


def _told(reached: Score) -> dict[str, float]:
    names = {"score": reached.value, "score_low": reached.low, "score_high": reached.high}
    return {name: round(value, 4) for name, value in names.items()}

"""What the trainers tell a plan of themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from lapel.adapters.inject import inject
from lapel.training.plan.phases import Recipe, photo_batch

if TYPE_CHECKING:
    from lapel.base.base import Base
    from lapel.training.facts import Settings
    from lapel.training.objective import Objective
    from lapel.training.predict import Predict


DenoisingLoss = Callable[["Base", "Objective", "Predict", "Predict"], Callable[[Any], Tensor]]


def lora_recipe(settings: Settings, denoising_loss: DenoisingLoss) -> Recipe:
    """`trainers/lora.py`, with its own `denoising_loss`."""
    adapter = settings.adapter

    def loss(base: Base, objective: Objective, predict: Predict) -> Callable[[Any], Tensor]:
        return denoising_loss(base, objective, predict, predict)  # the class's captions take no other shapes

    return Recipe(f"lora {adapter}", lambda base: inject(base, adapter, settings.optimizer.seed), loss, photo_batch)

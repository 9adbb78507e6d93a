"""The loss of one garment's photos, whatever it is that learns."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lapel.training.data import Batch
from lapel.training.objective import Objective
from lapel.training.predict import Predict


def photo_loss(objective: Objective, predict: Predict, own: Predict | None) -> Callable[[Batch], Tensor]:
    """Latents are noised, the UNet predicts, and the objective compares (Ho et al. 2020; Rombach et al. 2022).

    Args:
        own: what the base itself predicts, without gradients: the target where the caption is left out. None where
            that never happens.
    """

    def loss(batch: Batch) -> Tensor:
        noised = objective.noised(batch.latents, batch.noise, batch.timesteps)
        target, mask = objective.target(batch.latents, batch.noise, batch.timesteps), batch.mask
        if own is not None and (dropped := batch.dropped):
            # Without a caption, the whole picture stays what the base makes of it.
            kept = own(noised[dropped], batch.timesteps[dropped], batch.captions[dropped])
            rows = torch.tensor(dropped, device=mask.device)
            target, mask = target.index_copy(0, rows, kept), mask.index_fill(0, rows, 1.0)
        return objective.loss(predict(noised, batch.timesteps, batch.captions), target, batch.timesteps, mask)

    return loss

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
        own: what the base itself predicts, without gradients: the target where the caption is left out and, where the
            settings keep the surroundings, outside the mask. None where nothing asks for it.
    """

    def loss(batch: Batch) -> Tensor:
        noised = batch.seen(objective.noised(batch.latents, batch.noise, batch.timesteps))
        target, mask = objective.target(batch.latents, batch.noise, batch.timesteps), batch.mask
        keeps = objective.settings.keeps_surroundings
        if own is not None and (keeps or batch.dropped):
            # Outside the garment, and where the caption is left out, the picture stays what the base makes of it.
            whole = torch.tensor(batch.dropped, dtype=torch.long, device=mask.device)
            rows = torch.arange(len(mask), device=mask.device) if keeps else whole
            kept = own(noised[rows], batch.timesteps[rows], batch.captions[rows])
            inside = mask.index_fill(0, whole, 0.0)[rows]
            target = target.index_copy(0, rows, torch.lerp(kept, target[rows], inside))
            mask = mask.index_fill(0, whole, 1.0)
        return objective.loss(predict(noised, batch.timesteps, batch.captions), target, batch.timesteps, mask)

    return loss

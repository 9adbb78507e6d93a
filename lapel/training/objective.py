"""The denoising objective: noise a latent, predict, compare; for epsilon and v prediction.

In the shape of k-diffusion's Denoiser: a few short pure functions of latents, noise and timesteps. Whatever a base
predicts, the story is the same: `noised` goes in, `target` should come out, `weights` balances the timesteps and
`masked_mean` the pixels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lapel.errors import UserError
from lapel.training.settings import ObjectiveSettings


class Objective:
    """The weighted, masked denoising loss of a base's noise schedule.

    Args:
        schedule: the base's forward process, diffusers' DDPMScheduler, which also knows what the base predicts.
        settings: min-SNR weighting and masking.

    Raises:
        UserError: where the schedule's prediction type is neither epsilon nor v_prediction, or it asks for epsilon
            where no signal is left (zero terminal SNR), which no network can answer.
    """

    def __init__(self, schedule: Any, settings: ObjectiveSettings) -> None:
        self.prediction_type: str = schedule.config.prediction_type
        self.settings = settings
        alphas_cumprod = schedule.alphas_cumprod.double()
        # Signal and noise amplitudes by timestep (T,), variance preserving: signal² + noise² = 1.
        self.signal = alphas_cumprod.sqrt().float()
        self.noise = (1 - alphas_cumprod).sqrt().float()
        if self.prediction_type not in ("epsilon", "v_prediction"):
            raise UserError(f"the base predicts '{self.prediction_type}': only epsilon and v_prediction can be trained")
        if self.prediction_type == "epsilon" and bool((self.signal == 0).any()):
            raise UserError("the base's schedule has zero terminal SNR but predicts epsilon: it needs v_prediction")

    @property
    def timesteps(self) -> int:
        """How many timesteps the schedule has; they are counted from 0."""
        return len(self.signal)

    def to(self, device: torch.device) -> Objective:
        """Move the schedule's tables to the device of the latents."""
        self.signal, self.noise = self.signal.to(device), self.noise.to(device)
        return self

    def noised(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Latents (n, c, h, w) at timesteps (n,) of the forward process."""
        return over(self.signal[timesteps]) * latents + over(self.noise[timesteps]) * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the network should predict (n, c, h, w): the noise, or the velocity (Salimans and Ho 2022)."""
        if self.prediction_type == "epsilon":
            return noise
        return over(self.signal[timesteps]) * noise - over(self.noise[timesteps]) * latents

    def weights(self, timesteps: Tensor) -> Tensor:
        """Min-SNR loss weights (n,): min(snr, gamma) in units of the clean latent (Hang et al. 2023).

        An epsilon error is a latent error times snr, and a v error one times snr + 1: hence the denominators.
        """
        gamma = self.settings.min_snr_gamma
        if gamma is None:
            return torch.ones_like(timesteps, dtype=torch.float32)
        snr = (self.signal[timesteps] / self.noise[timesteps]) ** 2
        return snr.clamp(max=gamma) / (snr if self.prediction_type == "epsilon" else snr + 1)

    def pixel_weights(self, mask: Tensor) -> Tensor:
        """Masks (n, 1, h, w) from 0 outside to 1 inside the garment, as weights of the loss."""
        if not self.settings.masked:
            return torch.ones_like(mask)
        return self.settings.outside_weight + (1 - self.settings.outside_weight) * mask

    def loss(self, predicted: Tensor, target: Tensor, timesteps: Tensor, mask: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar, of `predicted` against `target` (n, c, h, w); the rest as in a Batch."""
        error = (predicted - target) ** 2
        return (self.weights(timesteps) * masked_mean(error, self.pixel_weights(mask))).mean()


def over(values: Tensor) -> Tensor:
    """Values by example (n,) as (n, 1, 1, 1), to multiply images with."""
    return values[:, None, None, None]


def masked_mean(values: Tensor, weights: Tensor) -> Tensor:
    """The mean (n,) of values (n, c, h, w) under weights (n, 1, h, w).

    It is normalised by the area: a small mask counts as much as a large one. Weights of an example must not all be
    zero; `lapel.training.encoding` refuses the photo that would make them so.
    """
    return (values * weights).sum(dim=(1, 2, 3)) / (weights.sum(dim=(1, 2, 3)) * values.shape[1])

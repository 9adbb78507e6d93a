"""`tiny`'s UNet: latent diffusion (Rombach et al., 2022) on v (Salimans and Ho, 2022).

The loss is weighted by min-SNR (Hang et al., 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

from lapel.training.pretraining.loop import Recipe, batch_of, train
from lapel.training.pretraining.towers import encode_captions
from lapel.training.pretraining.vae import encode_pool

MIN_SNR = 5.0
CAPTION_DROPOUT = 0.1
"""For classifier-free guidance."""


@dataclass(frozen=True)
class Encoded:
    """What the UNet is trained on."""

    mean: torch.Tensor
    """(n, 4, h, w) bf16 latents, scaled."""
    std: torch.Tensor
    """(n, 4, h, w) bf16."""
    text: torch.Tensor
    """(n, length, width) bf16: the text tower's last hidden states."""
    no_text: torch.Tensor
    """(length, width) bf16: those of the empty caption."""


def encode_photos(pipeline: Any, images: np.ndarray, captions: Sequence[str], folder: Path) -> Encoded:
    """Photos (n, side, side, 3) uint8 as latents and captions as text states, by a pipeline's encoders; kept in
    `folder`."""
    factor, count = pipeline.vae.config.scaling_factor, len(images)
    mean, std = encode_pool(pipeline.vae, images, count, images.shape[1], folder)
    states = encode_captions(pipeline.text_encoder, pipeline.tokenizer, ["", *captions], folder)
    return Encoded(mean * factor, std * factor, states[1 : count + 1], states[0])


Predict = Callable[..., torch.Tensor]
"""From noised latents (n, 4, h, w), time steps (n,), text states (n, length, width), and what else is shown, to v."""

Shown = Callable[[torch.Tensor, int], torch.Tensor]
"""From the numbers of a step's examples (n,), and the step, to what `Predict` is shown beside them."""


def train_unet(unet: Any, scheduler: Any, encoded: Encoded, recipe: Recipe, folder: Path, name: str) -> None:
    """Train a `UNet2DConditionModel` on what was encoded before, under a `DDPMScheduler`'s noise."""
    # At this size, written-out attention beats the fused kernel on a CPU; weights and results are the same.
    unet.set_attn_processor(AttnProcessor())
    network = recipe.network(unet)

    def predict(noisy: torch.Tensor, times: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return network(noisy, times, text).sample

    train(name, [unet], denoising_loss(predict, scheduler, encoded, recipe), recipe, folder)
    unet.set_attn_processor(AttnProcessor2_0())


def denoising_loss(
    predict: Predict, scheduler: Any, encoded: Encoded, recipe: Recipe, shown: Shown | None = None
) -> Callable[[int], torch.Tensor]:
    """The loss of a step, a pure function of its number: what `predict` makes of noised latents, held against v."""
    alphas = scheduler.alphas_cumprod
    snr = alphas / (1 - alphas)
    # For v, the loss is the one on the noise times SNR + 1; min(SNR, gamma) / (SNR + 1) undoes that.
    weights = snr.clamp(max=MIN_SNR) / (snr + 1)

    def loss_of(step: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(step + 7_000_000)
        numbers = batch_of(step, recipe.batch, len(encoded.mean), seed=3)
        mean, std = encoded.mean[numbers].float(), encoded.std[numbers].float()
        latents = mean + std * torch.randn(mean.shape, generator=generator)
        text = encoded.text[numbers]
        dropped = torch.rand(len(numbers), generator=generator) < CAPTION_DROPOUT
        text = torch.where(dropped[:, None, None], encoded.no_text, text)
        # Stratified time steps: each batch covers the whole schedule, which takes variance out of the loss.
        shares = (torch.arange(len(numbers)) + torch.rand(len(numbers), generator=generator)) / len(numbers)
        times = (shares * len(alphas)).long().clamp(max=len(alphas) - 1)
        noise = torch.randn(latents.shape, generator=generator)
        noisy = scheduler.add_noise(latents, noise, times)
        target = scheduler.get_velocity(latents, noise, times)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = predict(noisy, times, text, *([shown(numbers, step)] if shown else []))
        errors = (predicted.float() - target).square().mean(dim=(1, 2, 3))
        return (errors * weights[times]).mean() / weights.mean()

    return loss_of

"""`tiny`'s autoencoder: an `AutoencoderKL` of stride 4, trained on random crops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from lapel.files import written_whole
from lapel.training.pretraining.loop import Recipe, batch_of, train
from lapel.training.pretraining.pool import Pool

CROP = 64
KL_WEIGHT = 3e-5
"""Enough to keep the latents near a normal distribution, too little to blur."""


def to_pixels(images: np.ndarray) -> torch.Tensor:
    """(n, h, w, 3) uint8 to (n, 3, h, w) fp32 in [-1, 1]."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def train_vae(vae: Any, pool: Pool, recipe: Recipe, folder: Path) -> None:
    """Train an `AutoencoderKL` on mean squared error with a little absolute error, which keeps edges sharp."""
    count, size = pool.images.shape[:2]

    def loss_of(step: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(step)
        top, left = torch.randint(0, size - CROP + 1, (2,), generator=generator).tolist()
        numbers = batch_of(step, recipe.batch, count, seed=1).sort().values
        pixels = to_pixels(pool.images[numbers.numpy(), top : top + CROP, left : left + CROP])
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(pixels).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=generator)
            decoded = vae.decode(posterior.mean + posterior.std * noise).sample
        error = decoded.float() - pixels
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        return error.square().mean() + 0.05 * error.abs().mean() + KL_WEIGHT * divergence

    train("vae", [vae], loss_of, recipe, folder)


@torch.no_grad()
def scaling_factor(vae: Any, pool: Pool, photos: int = 400) -> float:
    """What gives the latents of the first photos a standard deviation of 1, to five digits."""
    with torch.autocast("cpu", torch.bfloat16):
        means = [
            vae.encode(to_pixels(pool.images[start : start + 50])).latent_dist.mean for start in range(0, photos, 50)
        ]
    return float(f"{1 / torch.cat(means).float().std().item():.5g}")


@torch.no_grad()
def encode_pool(
    vae: Any, images: np.ndarray, count: int, size: int, folder: Path, batch: int = 100
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latent means and standard deviations of the first `count` photos (n, side, side, 3) uint8 at that size, unscaled,
    kept in `folder`.

    Returns:
        Two (count, 4, h, w) bf16 tensors.
    """
    kept = folder / f"latents-{count}-{size}.safetensors"
    if not kept.exists():
        means, deviations = [], []
        with torch.autocast("cpu", torch.bfloat16):
            for start in tqdm(range(0, count, batch), f"encode at {size} px"):
                pixels = to_pixels(images[start : min(start + batch, count)])
                if size != pixels.shape[-1]:
                    pixels = torch.nn.functional.interpolate(pixels, size=size, mode="bilinear", antialias=True)
                posterior = vae.encode(pixels).latent_dist
                means.append(posterior.mean.bfloat16())
                deviations.append(posterior.std.bfloat16())
        with written_whole(kept) as path:
            save_file({"mean": torch.cat(means).contiguous(), "std": torch.cat(deviations).contiguous()}, path)
    latents = load_file(kept)
    return latents["mean"], latents["std"]

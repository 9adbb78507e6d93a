"""The base line: a training step as the best-known example scripts write it.

It has the structure of diffusers' examples for LoRA (`train_text_to_image_lora.py`, `train_dreambooth_lora.py`): the
frozen models in the run's precision, peft's layers in fp32, autocast around the UNet, and in every step the photos
through the VAE, the captions through the text encoder, noise, a mean squared error, and torch's AdamW over the
adapter's tensors. It learns as many numbers in the same layers as lapel does.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def adapt(unet: Any, targets: Sequence[str], rank: int) -> None:
    """Give layers of a frozen UNet an adapter in fp32, by their names; its alpha is its rank."""
    from peft import LoraConfig

    config = LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=list(targets))
    unet.add_adapter(config)
    for weight in unet.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


class PlainStep:
    """A model, and what a step does with it.

    Args:
        unet: diffusers' model, with an adapter that `adapt` gave it.
        vae, text_encoder: diffusers' and transformers' models, frozen, on their device and in their precision.
        scheduler: diffusers' DDPMScheduler.
    """

    def __init__(self, unet: Any, vae: Any, text_encoder: Any, scheduler: Any) -> None:
        self.unet, self.vae, self.text_encoder, self.scheduler = unet, vae, text_encoder, scheduler
        self.learned = [weight for weight in unet.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(self.learned, lr=1e-4)

    @property
    def models(self) -> list[Any]:
        """All that is in memory through a step."""
        return [self.unet, self.vae, self.text_encoder]

    def __call__(self, pixels: Tensor, tokens: Tensor) -> Tensor:
        """One step over photos (n, 3, h, w) in [-1, 1] and their captions' tokens (n, 77); returns the loss."""
        unet, device = self.unet, self.unet.device
        latents = self.vae.encode(pixels.to(device, self.vae.dtype)).latent_dist.sample()
        latents = latents * self.vae.config.scaling_factor
        noise = torch.randn_like(latents)
        timesteps = torch.randint(0, self.scheduler.config.num_train_timesteps, (len(latents),), device=device).long()
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        hidden = self.text_encoder(tokens, return_dict=False)[0]
        target = noise
        if self.scheduler.config.prediction_type == "v_prediction":
            target = self.scheduler.get_velocity(latents, noise, timesteps)
        with torch.autocast(device.type, unet.dtype) if unet.dtype != torch.float32 else nullcontext():
            predicted = unet(noisy, timesteps, hidden, return_dict=False)[0]
        loss = F.mse_loss(predicted.float(), target.float(), reduction="mean")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.learned, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()

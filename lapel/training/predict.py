"""What the UNet predicts in a training step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from lapel.adapters.encoder import with_photos

if TYPE_CHECKING:
    from accelerate import Accelerator

    from lapel.base.base import Base
    from lapel.training.encoding import Text


class Predict(Protocol):
    """From noised latents (n, c, h, w), timesteps and numbers of captions (n,) to what they were made of, in fp32.

    `features` are the image tower's of a photo for each example, where the base carries a garment encoder.
    """

    def __call__(
        self, noised: Tensor, timesteps: Tensor, captions: Tensor, features: Tensor | None = None
    ) -> Tensor: ...


def without_gradients(predict: Predict) -> Predict:
    """The same, for a base that does not learn."""

    @torch.no_grad()
    def own(noised: Tensor, timesteps: Tensor, captions: Tensor, features: Tensor | None = None) -> Tensor:
        return predict(noised, timesteps, captions, features)

    return own


def predictor(base: Base, text: Text, accelerator: Accelerator, compiled: bool = False) -> Predict:
    """The UNet's prediction, in the run's precision, by a UNet that torch compiles first where that is asked for."""
    unet = torch.compile(base.unet) if compiled else base.unet

    def predict(noised: Tensor, timesteps: Tensor, captions: Tensor, features: Tensor | None = None) -> Tensor:
        size = (noised.shape[-2] * base.latent_stride, noised.shape[-1] * base.latent_stride)
        with accelerator.autocast():
            conditions = base.unet_conditions(text(captions), original_size=size, target_size=size)
            if features is not None:
                conditions = with_photos(conditions, features.to(base.dtype))
            predicted: Tensor = unet(noised.to(base.dtype), timesteps, **conditions).sample
        return predicted.float()

    return predict

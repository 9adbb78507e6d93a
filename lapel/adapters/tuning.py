"""Fine-tuning of a whole base: which of its weights learn, and a base beside it that stays as it was."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from lapel.adapters.fuse import load_fused_base
from lapel.base.base import DTYPES, Base
from lapel.base.settings import BaseSettings, Precision
from lapel.errors import UserError


def load_tunable_base(settings: BaseSettings, device: torch.device | str = "cpu") -> Base:
    """The base in fp32, whatever its precision in training: lower ones would lose most of a small step to rounding.

    Raises:
        UserError: as `load_fused_base` does; an inpainting base.
    """
    base = load_fused_base(dataclasses.replace(settings, precision="fp32"), device)
    base.require_ordinary()
    return base


def frozen_copy(base: Base, precision: Precision) -> Base:
    """The base as it is now, its UNet alone, in that precision."""
    kept = dataclasses.replace(base, unet=copy.deepcopy(base.unet).to(DTYPES[precision]), text_encoders=[])
    kept.release_encoders()
    return kept


def tune(base: Base, rate: float, encoder_rates: Sequence[float]) -> tuple[list[list[nn.Parameter]], list[float]]:
    """Let the UNet's weights learn, and those of the text encoders that have a rate above 0.

    Args:
        rate: of the UNet.
        encoder_rates: of the text encoders: none, one for all, or one for each.

    Returns:
        The UNet's parameters, and those of each text encoder that learns; and their rates. What has no effect on the
        UNet (the last layer of SDXL's first text encoder) does not learn.

    Raises:
        UserError: rates for another number of text encoders.
    """
    encoders = base.text_encoders
    each = list(encoder_rates) * (len(encoders) if len(encoder_rates) == 1 else 1) or [0.0] * len(encoders)
    if len(each) != len(encoders):
        count = base.family.text_encoders
        raise UserError(f"--text_encoder_learning_rate has {len(each)} rates; a {base.family.title} base takes {count}")
    base.unet.requires_grad_(True)
    groups, rates = [list(base.unet.parameters())], [rate]
    for encoder, own in zip(encoders, each, strict=True):
        encoder.requires_grad_(own > 0)
    _freeze_without_effect(base)
    for encoder, own in zip(encoders, each, strict=True):
        if own > 0:
            groups.append([parameter for parameter in encoder.parameters() if parameter.requires_grad])
            rates.append(own)
            if base.unet.is_gradient_checkpointing:
                encoder.gradient_checkpointing_enable({"use_reentrant": False})
                encoder.train()  # where transformers looks at it
    return groups, rates


def _freeze_without_effect(base: Base) -> None:
    """A text encoder's weights that what the UNet sees does not depend on: they get no gradients."""
    learning = [parameter for encoder in base.text_encoders for parameter in encoder.parameters()]
    learning = [parameter for parameter in learning if parameter.requires_grad]
    if not learning:
        return
    tokens = torch.zeros(1, 1, 77, dtype=torch.int64, device=learning[0].device)
    seen: Any = base.encode_tokens([tokens] * len(base.text_encoders))
    total = sum(tensor.float().sum() for tensor in seen.values())
    for parameter, gradient in zip(learning, torch.autograd.grad(total, learning, allow_unused=True), strict=True):
        parameter.requires_grad_(gradient is not None)

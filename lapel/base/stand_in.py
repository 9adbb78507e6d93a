"""Bases of the published shapes with random weights, made offline.

They stand in for the published checkpoints wherever only names, shapes and costs matter: file formats, memory, speed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lapel.base.configs import TEXT_CONFIGS, write_configs

if TYPE_CHECKING:
    import torch
    from torch import nn

_SD2_HEAD = "up_blocks.3.attentions.2.transformer_blocks.0.norm1"
"""By the spread of its bias front ends tell which of SD 2's models predict v."""


def stand_in(family: str, folder: Path, dtype: torch.dtype, prediction_type: str = "epsilon", seed: int = 0) -> None:
    """Write a base of a family's true shape with random weights as a diffusers folder.

    Its parts are made and written one after the other: no more than the largest of them is in memory.

    Args:
        family: `sd15`, `sd2` or `sdxl`.
        folder: of the base; 2, 2.5 or 7 GB in half precision.
        dtype: of all weights.
        prediction_type: `epsilon` or `v_prediction`; SD 2's weights show it as those of the published models do.
        seed: of the weights.
    """
    import torch

    from lapel.base.hollow import hollow_models
    from lapel.base.load import hide_progress_bars

    hide_progress_bars()
    write_configs(family, prediction_type, folder)
    generator = torch.Generator().manual_seed(seed)
    for name, model in hollow_models(folder, len(TEXT_CONFIGS[family])):
        model = model.to_empty(device="cpu").to(dtype)
        fill(model, generator)
        if name == "unet" and family == "sd2" and prediction_type == "v_prediction":
            model.get_submodule(_SD2_HEAD).bias.data.normal_(0, 0.2, generator=generator)
        model.save_pretrained(folder / name)


def fill(model: nn.Module, generator: torch.Generator) -> None:
    """Weights as torch starts layers, norms near one, biases near zero: numbers go through without growing."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(False)
        if parameter.dim() > 1:
            reach = 0.02 if "embedding" in name and "linear" not in name else parameter[0].numel() ** -0.5
            parameter.uniform_(-reach, reach, generator=generator)
        else:
            parameter.normal_(1.0 if name.endswith("weight") else 0.0, 0.02, generator=generator)
    for name, buffer in model.named_buffers():
        assert name.endswith("position_ids"), "no other numbers are made by configurations"
        buffer.copy_(buffer.new_tensor(range(buffer.shape[-1])).expand_as(buffer))

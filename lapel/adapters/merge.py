"""Read kohya's layout without any loader's help: the formula, the key map, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lapel.adapters.inject import published_name
from lapel.adapters.kohya import stem
from lapel.base.families import Family
from lapel.errors import UserError

_ENDINGS = (".lora_down.weight", ".lora_up.weight", ".alpha", ".diff")


def weights_by_stem(family: Family, models: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Every linear and convolutional layer of the UNet and the text encoders under its stem.

    Args:
        models: by part: `unet`, `text_encoder`, `text_encoder_2`.

    Returns:
        For each stem, the layer as `<part>.<module>` and the layer itself; below a peft layer, the base's own.
    """
    found: dict[str, tuple[str, Any]] = {}
    config = models["unet"].config
    for part, model in models.items():
        for name, layer in model.named_modules():
            if isinstance(layer, nn.Linear | nn.Conv2d) and ".lora_" not in name:
                module = published_name(part, name.removesuffix(".base_layer"))
                found[stem(family, config, part, module)] = (f"{part}.{module}", layer)
    return found


def learned_stems(tensors: Mapping[str, Tensor], layers: Mapping[str, tuple[str, Any]]) -> list[str]:
    """The stems of a file's keys, each of which must be a layer of the base.

    Raises:
        UserError: a key that the base has no layer for, or an unknown ending.
    """
    stems = sorted({key[: -len(ending)] for key in tensors for ending in _ENDINGS if key.endswith(ending)})
    unknown = [key for key in tensors if not key.endswith(_ENDINGS)] + [name for name in stems if name not in layers]
    if unknown:
        raise UserError(f"{len(unknown)} keys of the adapter fit no layer of this base, {unknown[0]} for one")
    return stems


def difference(tensors: Mapping[str, Tensor], name: str, shape: torch.Size) -> Tensor:
    """W' - W in fp32 of the layer with stem `name`: alpha / rank * up @ down, or `.diff` as it is.

    Raises:
        UserError: the layer has another shape.
    """
    if f"{name}.diff" in tensors:
        found = tensors[f"{name}.diff"].float()
    else:
        down, up = (tensors[f"{name}.lora_{side}.weight"].float() for side in ("down", "up"))
        rank = down.shape[0]
        alpha = tensors[f"{name}.alpha"].item() if f"{name}.alpha" in tensors else rank
        found = alpha / rank * (up.flatten(1) @ down.flatten(1))
    if found.numel() != shape.numel() or found.shape[0] != shape[0]:
        raise UserError(f"{name}: {tuple(found.shape)} in the adapter, {tuple(shape)} in this base")
    return found.reshape(shape)


@torch.no_grad()
def merge(tensors: Mapping[str, Tensor], layers: Mapping[str, tuple[str, Any]], weight: float = 1.0) -> int:
    """Add `weight` times a file's differences to the layers' weights, computed in fp32 and kept in their precision.

    The layers get new tensors, so that a model that shares the old ones keeps them.

    Returns:
        How many layers changed.

    Raises:
        UserError: the file fits another base; no layer was changed if its keys do, some may have if only shapes do.
    """
    stems = learned_stems(tensors, layers)
    for name in stems:
        layer = layers[name][1]
        added = weight * difference(tensors, name, layer.weight.shape)
        merged = layer.weight.float() + added.to(layer.weight.device)
        layer.weight = nn.Parameter(merged.to(layer.weight.dtype), requires_grad=False)
    return len(stems)

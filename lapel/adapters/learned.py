"""Read back what the injected layers have learned, in the tensors that files hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lapel.adapters.kinds import DOWN, KINDS, UP
from lapel.adapters.layers import Layer, change, rank_of, scaled
from lapel.base.base import Base
from lapel.base.ldm import published_name
from lapel.base.quantise import whole_weight

ADAPTER_NAME = "lapel"
"""Longer than a letter or two: transformers finds adapters by looking for the name inside parameter names."""

_FACTORS = tuple(kind for kind in KINDS if kind.startswith(("hada_", "lokr_")))
"""What peft calls as LyCORIS' files do."""


@dataclass(frozen=True)
class LayerUpdate:
    """What one layer learned."""

    part: str
    """`unet`, `text_encoder` or `text_encoder_2`."""
    module: str
    """Dotted name in diffusers' and the published text encoders' spelling (`text_model.encoder...`)."""
    layer: Layer
    """In fp32, as `lapel.adapters.layers` lists the tensors; a DoRA has its lengths by rows, (out, 1[, 1, 1])."""
    weight: Tensor
    """W, the base's own, in its precision; a copy only where the base keeps it in fewer bits."""

    @property
    def name(self) -> str:
        """`<part>.<module>`, as `lapel.adapters.names` has it."""
        return f"{self.part}.{self.module}"

    def difference(self) -> Tensor:
        """W' - W in fp32, in the shape of W."""
        return change(self.layer, self.weight.shape, self.weight)


@torch.no_grad()
def learned_updates(base: Base, adapter: str = ADAPTER_NAME) -> list[LayerUpdate]:
    """What every adapted layer has learned so far, in the order of the models' modules, detached, on its device.

    Args:
        adapter: peft's name of it; another than `inject` gives for one that was loaded from a file.
    """
    return [
        LayerUpdate(
            part=part,
            module=name if part == "unet" else published_name(name),
            layer=_read(layer, adapter),
            weight=whole_weight(layer.get_base_layer()),
        )
        for part, model in base.models.items()
        for name, layer in adapted_layers(model, adapter)
    ]


def adapted_layers(model: nn.Module, adapter: str = ADAPTER_NAME) -> Iterator[tuple[str, Any]]:
    """peft's layers that carry the adapter, by their names in the model."""
    for name, module in model.named_modules():
        if learned_tensors(module, adapter):
            yield name, module


def learned_tensors(module: Any, adapter: str = ADAPTER_NAME) -> dict[str, nn.Parameter]:
    """What one of peft's layers learns, by the kinds of `lapel.adapters.kinds`; empty for any other module."""
    found = {kind: own[adapter] for kind in _FACTORS if adapter in (own := getattr(module, kind, {}))}
    for kind, attribute in ((DOWN, "lora_A"), (UP, "lora_B"), ("dora_scale", "lora_magnitude_vector")):
        own = getattr(module, attribute, {})
        if adapter in own:
            found[kind] = own[adapter].weight
    return found


def _read(layer: Any, adapter: str) -> Layer:
    tensors = {kind: tensor.detach().float() for kind, tensor in learned_tensors(layer, adapter).items()}
    rank = layer.r[adapter]
    if DOWN in tensors:
        alpha = float(layer.lora_alpha[adapter])
        # rsLoRA divides by the rank's root; readers divide by the rank.
        alpha *= rank**0.5 if layer.use_rslora.get(adapter, False) else 1.0
    else:
        alpha = float(layer.alpha[adapter])
    if "dora_scale" in tensors:
        rows = (-1, *[1] * (tensors[UP].dim() - 1))
        tensors["dora_scale"] = tensors["dora_scale"].reshape(rows)
    if rank_of(tensors) is None:
        # A Kronecker product of two whole matrices: no reader scales it.
        return scaled(tensors, alpha / rank)
    return {**tensors, "alpha": torch.tensor(alpha)}

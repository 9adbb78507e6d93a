"""Put trainable layers into a frozen base, and read back what they learned."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lapel.adapters.kinds import DOWN, UP
from lapel.adapters.layers import Layer, change
from lapel.adapters.settings import AdapterSettings
from lapel.base.base import Base
from lapel.base.ldm import published_name

ADAPTER_NAME = "lapel"
"""Longer than a letter or two: transformers finds adapters by looking for the name inside parameter names."""

UNET_LAYERS = r".*\.(attn[12]\.(to_q|to_k|to_v|to_out\.0)|ff\.net\.(0\.proj|2)|attentions\.\d+\.(proj_in|proj_out))"
"""The attention blocks' linear layers and their 1x1 projections, as a regular expression over whole module names."""
CONVOLUTION_LAYERS = (
    r".*\.(resnets\.\d+\.(conv1|conv2|conv_shortcut|time_emb_proj)|downsamplers\.0\.conv|upsamplers\.0\.conv)"
)
"""What LoCon adds to them."""
TEXT_LAYERS = r".*\.(self_attn\.(q_proj|k_proj|v_proj|out_proj)|mlp\.(fc1|fc2))"


@dataclass(frozen=True)
class LayerUpdate:
    """What one layer learned: W' = W + scale * up @ down, and for DoRA W' = m * V / |V| with V that sum, by rows."""

    part: str
    """`unet`, `text_encoder` or `text_encoder_2`."""
    module: str
    """Dotted name in diffusers' and the published text encoders' spelling (`text_model.encoder...`)."""
    down: Tensor
    """fp32, (rank, in) or (rank, in, kh, kw)."""
    up: Tensor
    """fp32, (out, rank) or (out, rank, 1, 1)."""
    alpha: float
    weight: Tensor
    """W, the base's own, in its precision; not a copy."""
    magnitude: Tensor | None = None
    """DoRA's m, fp32 (out,); None for LoRA."""

    @property
    def name(self) -> str:
        """`<part>.<module>`, as `lapel.adapters.names` has it."""
        return f"{self.part}.{self.module}"

    @property
    def scale(self) -> float:
        return self.alpha / self.down.shape[0]

    @property
    def layer(self) -> Layer:
        """The tensors as files hold them."""
        layer = {DOWN: self.down, UP: self.up, "alpha": torch.tensor(self.alpha)}
        if self.magnitude is not None:
            layer["dora_scale"] = self.magnitude.reshape(-1, *[1] * (self.weight.dim() - 1))
        return layer

    def difference(self) -> Tensor:
        """W' - W in fp32, in the shape of W."""
        return change(self.layer, self.weight.shape, self.weight)


def target_layers(settings: AdapterSettings) -> str:
    """The regular expression of the UNet's module names that `inject` adapts."""
    return f"({UNET_LAYERS})|({CONVOLUTION_LAYERS})" if settings.convolutions else UNET_LAYERS


def inject(base: Base, settings: AdapterSettings, seed: int = 0) -> list[nn.Parameter]:
    """Freeze the base and put the adapter's layers into its UNet and, if asked, its text encoders.

    The update starts at zero (`up` is zero, `down` random), so that the base's output does not change.

    Args:
        seed: of `down`; the same numbers on every machine and for every precision of the base.

    Returns:
        The trainable parameters, in fp32, in a fixed order.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = []
    for frozen in (base.unet, *base.text_encoders):
        frozen.requires_grad_(False)
    for _, model in _adapted_parts(base, settings.text_encoder):
        layers = target_layers(settings) if model is base.unet else TEXT_LAYERS
        model.add_adapter(_peft_config(settings, layers), adapter_name=ADAPTER_NAME)
        if model is not base.unet and base.unet.is_gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        for _, layer in _adapted_layers(model):
            _start(layer, generator)
        parameters += [parameter for parameter in model.parameters() if parameter.requires_grad]
    return parameters


@contextmanager
def without_adapter(base: Base) -> Iterator[None]:
    """Within the block, the base computes as if nothing had been injected."""
    adapted = [model for _, model in _adapted_parts(base, text_encoder=True) if any(_adapted_layers(model))]
    for model in adapted:
        model.disable_adapters()
    try:
        yield
    finally:
        for model in adapted:
            model.enable_adapters()


def _peft_config(settings: AdapterSettings, layers: str) -> object:
    from peft import LoraConfig

    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.resolved_alpha,
        target_modules=layers,
        use_dora=settings.adapter == "dora",
        init_lora_weights=True,
    )


def _adapted_parts(base: Base, text_encoder: bool) -> list[tuple[str, Any]]:
    """The models that carry the adapter, with diffusers' names for them."""
    encoders = zip(("text_encoder", "text_encoder_2"), base.text_encoders, strict=False) if text_encoder else ()
    return [("unet", base.unet), *encoders]


def _adapted_layers(model: nn.Module, adapter: str = ADAPTER_NAME) -> Iterator[tuple[str, Any]]:
    for name, module in model.named_modules():
        if adapter in getattr(module, "lora_A", ()):
            yield name, module


@torch.no_grad()
def _start(layer: Any, generator: torch.Generator) -> None:
    """fp32 for what is learned, whatever the base's precision, and starting values that depend on the seed alone."""
    down, up = layer.lora_A[ADAPTER_NAME], layer.lora_B[ADAPTER_NAME]
    values = torch.empty(down.weight.shape)
    nn.init.kaiming_uniform_(values, a=math.sqrt(5), generator=generator)
    down.weight.data = values.to(down.weight.device)
    up.weight.data = torch.zeros_like(up.weight, dtype=torch.float32)
    if ADAPTER_NAME in layer.lora_magnitude_vector:
        magnitude = layer.lora_magnitude_vector[ADAPTER_NAME]
        lengths = layer.get_base_layer().weight.float().flatten(1).norm(dim=1)
        magnitude.weight.data = lengths.reshape(magnitude.weight.shape)


def is_dora(base: Base) -> bool:
    """Whether the injected adapter learns magnitudes."""
    return any(ADAPTER_NAME in layer.lora_magnitude_vector for _, layer in _adapted_layers(base.unet))


@torch.no_grad()
def learned_updates(base: Base, adapter: str = ADAPTER_NAME) -> list[LayerUpdate]:
    """What every adapted layer has learned so far, in the order of the models' modules, detached, on its device.

    Args:
        adapter: peft's name of it; another than `inject` gives for one that was loaded from a file.
    """
    return [
        _read(part, name, layer, adapter)
        for part, model in _adapted_parts(base, text_encoder=True)
        for name, layer in _adapted_layers(model, adapter)
    ]


def _read(part: str, name: str, layer: Any, adapter: str) -> LayerUpdate:
    magnitude = None
    if adapter in layer.lora_magnitude_vector:
        magnitude = layer.lora_magnitude_vector[adapter].weight.detach().float().flatten()
    return LayerUpdate(
        part=part,
        module=name if part == "unet" else published_name(name),
        down=layer.lora_A[adapter].weight.detach().float(),
        up=layer.lora_B[adapter].weight.detach().float(),
        alpha=float(layer.lora_alpha[adapter]),
        weight=layer.get_base_layer().weight.detach(),
        magnitude=magnitude,
    )

"""Put trainable layers into a frozen base."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from lapel.adapters.kinds import UP
from lapel.adapters.learned import ADAPTER_NAME, adapted_layers, learned_tensors
from lapel.adapters.quick import quicken
from lapel.adapters.settings import AdapterSettings, Kind, Size
from lapel.adapters.targets import layer_sizes
from lapel.base.base import Base
from lapel.base.ldm import published_name
from lapel.base.load import lay_out_to_learn
from lapel.base.quantise import whole_weight

_ZERO = (UP, "hada_w2_b", "lokr_w1")
"""The factors that start at zero, so that the update does."""


def inject(base: Base, settings: AdapterSettings, seed: int = 0) -> list[nn.Parameter]:
    """Freeze the base and put the adapter's layers into the blocks of its UNet and text encoders that are to learn.

    The update starts at zero (one of its factors is zero, the others random), so that the base's output does not
    change.

    Args:
        seed: of the random factors; the same numbers on every machine and for every precision of the base.

    Returns:
        The trainable parameters, in fp32, in a fixed order.

    Raises:
        UserError: blocks that this base has not.
    """
    generator = torch.Generator().manual_seed(seed)
    parameters = []
    sizes = layer_sizes(base.models, settings)
    for part, model in base.models.items():
        model.requires_grad_(False)
        own = {name.split(".", 1)[1]: size for name, size in sizes.items() if name.startswith(f"{part}.")}
        if not own:
            continue
        live = [name for name, _ in model.named_modules()]
        by_name = {name: own[module] for name in live if (module := _published(part, name)) in own}
        model.add_adapter(_peft_config(settings.kind, by_name), adapter_name=ADAPTER_NAME)
        if part != "unet" and base.unet.is_gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        device = model.device  # which looks through all modules
        for _, layer in adapted_layers(model):
            _start(layer, generator, device)
            quicken(layer)
        parameters += [parameter for parameter in model.parameters() if parameter.requires_grad]
    lay_out_to_learn(base.unet)
    return parameters


@contextmanager
def without_adapter(base: Base) -> Iterator[None]:
    """Within the block, the base computes as if nothing had been injected."""
    adapted = [model for model in base.models.values() if any(adapted_layers(model))]
    for model in adapted:
        model.disable_adapters()
    try:
        yield
    finally:
        for model in adapted:
            model.enable_adapters()


def _published(part: str, name: str) -> str:
    return name if part == "unet" else published_name(name)


def _peft_config(kind: Kind, sizes: Mapping[str, Size]) -> object:
    """peft's settings: the commonest size for all, the others by patterns of whole module names."""
    import peft

    usual = Counter(sizes.values()).most_common(1)[0][0]
    groups = {
        size: "|".join(re.escape(name) for name, own in sizes.items() if own == size) for size in set(sizes.values())
    }
    common: dict[str, Any] = {
        "r": usual.rank,
        "target_modules": "|".join(f"({names})" for names in groups.values()),
        "rank_pattern": {names: size.rank for size, names in groups.items() if size != usual},
        "alpha_pattern": {names: size.alpha for size, names in groups.items() if size != usual},
    }
    if kind in ("loha", "lokr"):
        return {"loha": peft.LoHaConfig, "lokr": peft.LoKrConfig}[kind](alpha=usual.alpha, **common)
    return peft.LoraConfig(lora_alpha=usual.alpha, use_dora=kind == "dora", use_rslora=kind == "rslora", **common)


@torch.no_grad()
def _start(layer: Any, generator: torch.Generator, device: torch.device) -> None:
    """fp32 for what is learned, whatever the base's precision, and starting values that depend on the seed alone.

    It lies on the model's device, even where the layer's own weights do not.
    """
    for kind, parameter in learned_tensors(layer).items():
        if kind == "dora_scale":
            lengths = whole_weight(layer.get_base_layer()).float().flatten(1).norm(dim=1)
            parameter.data = lengths.reshape(parameter.shape).to(device)
        elif kind in _ZERO:
            parameter.data = torch.zeros_like(parameter, dtype=torch.float32, device=device)
        else:
            values = torch.empty(parameter.shape)
            nn.init.kaiming_uniform_(values, a=math.sqrt(5), generator=generator)
            parameter.data = values.to(device)

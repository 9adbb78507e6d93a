"""Frozen weights in fewer bits, through bitsandbytes: int8 (LLM.int8()) and NF4 (QLoRA)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

_LAYERS = re.compile(r"\.attentions\.\d+\.")
"""The linear layers of the attention blocks: nearly all weights of SDXL's UNet, half of the others'. What embeds time
and size is small, and every layer depends on it."""
_OUTLIERS = 6.0
"""LLM.int8()'s threshold: columns of the input with larger values are multiplied in half precision."""


def quantise(unet: Any, kind: Literal["int8", "nf4"], device: torch.device | str) -> None:
    """Bring a UNet to its device, the linear layers of its attention blocks in fewer bits; layer by layer.

    Args:
        device: on `meta`, shapes alone are made.
    """
    with _own_tables():
        for name, layer in list(unet.named_modules()):
            if isinstance(layer, nn.Linear) and _LAYERS.search(name):
                unet.set_submodule(name, (_nf4 if kind == "nf4" else _int8)(layer, torch.device(device)))
    mark_quantised(unet)
    for layer in unet.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            if parameter.device.type != torch.device(device).type:
                setattr(layer, name, nn.Parameter(parameter.data.to(device), requires_grad=parameter.requires_grad))


@contextmanager
def _own_tables() -> Iterator[None]:
    """Within the block, bitsandbytes' tables are for this device: it keeps the first for good, were it `meta`'s."""
    from bitsandbytes.functional import name2qmap

    before = dict(name2qmap)
    try:
        yield
    finally:
        name2qmap.clear()
        name2qmap.update(before)


def mark_quantised(model: Any) -> None:
    """Tell peft, which goes by these names, what it will find in a model."""
    for _, layer in quantised_layers(model):
        setattr(model, "is_loaded_in_4bit" if hasattr(layer.weight, "quant_state") else "is_loaded_in_8bit", True)


def quantised_layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """The layers in fewer bits, by name."""
    return ((name, layer) for name, layer in model.named_modules() if _is_quantised(layer))


def _is_quantised(layer: Any) -> bool:
    return isinstance(layer, nn.Linear) and (hasattr(layer.weight, "quant_state") or hasattr(layer.weight, "SCB"))


def whole_weight(layer: Any) -> Tensor:
    """A layer's weight, detached; of one in fewer bits, as a new tensor, the numbers that it stands for."""
    if not _is_quantised(layer):
        return layer.weight.detach()
    from bitsandbytes.functional import dequantize_4bit, int8_vectorwise_dequant

    if hasattr(layer.weight, "quant_state"):
        return dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    place = _int8_place(layer)
    return int8_vectorwise_dequant(place.CB, place.SCB)


def statistics(model: nn.Module) -> Iterator[tuple[Any, str]]:
    """Where layers in fewer bits keep tensors that are neither parameters nor buffers: an object and its attribute."""
    for _, layer in quantised_layers(model):
        if hasattr(layer.weight, "quant_state"):
            state = layer.weight.quant_state
            yield from ((state, name) for name in ("absmax", "code", "offset"))
            yield from ((state.state2, name) for name in ("absmax", "code"))
        else:
            yield from ((_int8_place(layer), name) for name in ("CB", "SCB"))


def _int8_place(layer: Any) -> Any:
    """Where an int8 layer keeps its numbers and their scales: at another place from its first use on."""
    return layer.state if layer.weight.SCB is None else layer.weight


def _nf4(layer: nn.Linear, device: torch.device) -> nn.Linear:
    from bitsandbytes import nn as bnb
    from bitsandbytes.functional import quantize_4bit

    weight = layer.weight.data.to(device)
    packed, state = quantize_4bit(weight, compress_statistics=True, quant_type="nf4")
    made = bnb.Linear4bit(
        layer.in_features, layer.out_features, bias=False, compute_dtype=weight.dtype, quant_type="nf4", device="meta"
    )
    made.weight = bnb.Params4bit(
        packed, quant_state=state, quant_type="nf4", compress_statistics=True, module=made, bnb_quantized=True
    )
    made.quant_state = state
    # A processor would pack weights anew for drawing, in a layout that has no gradient.
    made.support_avx512bf16_for_cpu = False
    return _finished(made, layer, device)


def _int8(layer: nn.Linear, device: torch.device) -> nn.Linear:
    from bitsandbytes import nn as bnb
    from bitsandbytes.functional import int8_vectorwise_quant

    numbers, scales, _ = int8_vectorwise_quant(layer.weight.data.to(device, torch.float16))
    made = bnb.Linear8bitLt(
        layer.in_features,
        layer.out_features,
        bias=False,
        has_fp16_weights=False,
        threshold=_OUTLIERS,
        device="meta",
    )
    made.weight = bnb.Int8Params(numbers, requires_grad=False, has_fp16_weights=False, CB=numbers, SCB=scales)
    return _finished(made, layer, device)


def _finished(made: Any, layer: nn.Linear, device: torch.device) -> Any:
    if layer.bias is not None:
        made.bias = nn.Parameter(layer.bias.data.to(device), requires_grad=False)
    return made.eval()

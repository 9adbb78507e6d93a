"""A LoRA's linear layers with fewer passes over memory: the same numbers as peft's, within the precision.

peft casts a layer's input to fp32 for the factors, autocast casts it back, and each of a block's query, key and value
keeps a copy of its own for the backward pass. Here the input is taken in the precision of the products and kept as it
is, and what the factors add is accumulated onto the product of the frozen weight, in both directions.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapel.adapters.kinds import DOWN, UP
from lapel.adapters.learned import ADAPTER_NAME, learned_tensors


def quicken(layer: Any) -> None:
    """Let one of peft's layers go this way while it learns; any layer but a plain LoRA of a linear one stays as it is.

    Drawing, a layer whose adapter is off or merged, and one that carries further adapters go peft's own way.
    """
    linear = hasattr(layer, "get_base_layer") and isinstance(layer.get_base_layer(), nn.Linear)
    if linear and set(learned_tensors(layer)) == {DOWN, UP}:
        layer.forward = MethodType(_forward, layer)


def _forward(layer: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    alone = layer.active_adapters == [ADAPTER_NAME] and not (layer.disable_adapters or layer.merged)
    if alone and torch.is_grad_enabled() and not args and not kwargs:
        return _learning(layer, x)
    return type(layer).forward(layer, x, *args, **kwargs)


def _learning(layer: Any, x: Tensor) -> Tensor:
    """The layer's output, with gradients for the factors and for `x`."""
    base, device = layer.get_base_layer(), x.device.type
    down, up, scale = layer.lora_A[ADAPTER_NAME].weight, layer.lora_B[ADAPTER_NAME].weight, layer.scaling[ADAPTER_NAME]
    if torch.is_autocast_enabled(device):
        x = x.to(torch.get_autocast_dtype(device))
    if type(base) is nn.Linear and base.weight.dtype == x.dtype and not base.weight.requires_grad:
        return _LinearWithFactors.apply(x, base.weight, base.bias, down, up, scale)
    return _Factors.apply(base(x), x, down, up, scale)


class _LinearWithFactors(torch.autograd.Function):
    """x W' + b + scale x A' B', W and b frozen, in the precision of x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float
    ) -> Tensor:
        a, b = down.to(x.dtype), (up * scale).to(x.dtype)
        inputs = x.reshape(-1, x.shape[-1])
        with torch.autocast(x.device.type, enabled=False):
            made = F.linear(inputs, weight, bias)
            low = inputs @ a.T
            made.addmm_(low, b.T)
        ctx.save_for_backward(inputs, weight, low, a, b)
        ctx.scale, ctx.shape = scale, x.shape
        return made.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        inputs, weight, low, a, b = ctx.saved_tensors
        gradient = gradient.reshape(-1, gradient.shape[-1])
        low_gradient = gradient @ b
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (gradient @ weight).addmm_(low_gradient, a).view(ctx.shape)
        return of_x, None, None, *_of_factors(inputs, gradient, low, low_gradient, ctx.scale), None


class _Factors(torch.autograd.Function):
    """made + scale x A' B', in the precision of x."""

    @staticmethod
    def forward(ctx: Any, made: Tensor, x: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
        a, b = down.to(x.dtype), (up * scale).to(x.dtype)
        inputs = x.reshape(-1, x.shape[-1])
        with torch.autocast(x.device.type, enabled=False):
            low = inputs @ a.T
            whole = torch.addmm(made.reshape(-1, made.shape[-1]).to(x.dtype), low, b.T)
        ctx.save_for_backward(inputs, low, a, b)
        ctx.scale, ctx.shape, ctx.made = scale, x.shape, made.dtype
        return whole.view(made.shape).to(made.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        inputs, low, a, b = ctx.saved_tensors
        whole, gradient = gradient, gradient.reshape(-1, gradient.shape[-1]).to(inputs.dtype)
        low_gradient = gradient @ b
        of_x = (low_gradient @ a).view(ctx.shape) if ctx.needs_input_grad[1] else None
        of_made = whole if ctx.needs_input_grad[0] else None
        return of_made, of_x, *_of_factors(inputs, gradient, low, low_gradient, ctx.scale), None


def _of_factors(
    inputs: Tensor, gradient: Tensor, low: Tensor, low_gradient: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """The factors' gradients in fp32: of A, whose scale is in that of the low rank already, and of B."""
    return (low_gradient.T @ inputs).float(), (gradient.T @ low).float() * scale

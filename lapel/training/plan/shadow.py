"""Bases that compute shapes alone: every tensor is one of PyTorch's fake ones, which hold no numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lapel.base.base import DTYPES, UNCACHED
from lapel.base.quantise import quantised_layers, statistics
from lapel.base.settings import Precision


def cast_shadow(*models: Any) -> AbstractContextManager[Any]:
    """Put fake tensors in the place of hollow models', in their shapes and precisions.

    They say that they lie on a CPU, whatever is planned for: without a GPU's driver, torch 2.14 has no backward pass of
    tensors on a fake one. Where a GPU goes another way, `as_on_gpu` does too.

    Returns:
        The mode in which the models compute from then on; it can be entered again and again.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        for model in models:
            # Before the weights, which carry some of them as attributes.
            for place, name in list(statistics(model)):
                tensor = getattr(place, name)
                setattr(place, name, torch.empty(tensor.shape, dtype=tensor.dtype))
            for _, layer in quantised_layers(model):
                if hasattr(layer, "state"):
                    # How many columns are outliers, numbers alone would tell; they are few.
                    layer.state.threshold = 0.0
            for module in model.modules():
                for name, weight in module._parameters.items():
                    module._parameters[name] = None if weight is None else _shadow_weight(weight)
                for name, buffer in module._buffers.items():
                    module._buffers[name] = None if buffer is None else torch.empty(buffer.shape, dtype=buffer.dtype)
    return mode


def _shadow_weight(weight: nn.Parameter) -> nn.Parameter:
    # bitsandbytes keeps what a packed weight means as its attributes, int8 numbers among them.
    numbers = getattr(weight, "CB", None)
    numbers = torch.empty(weight.shape, dtype=weight.dtype) if numbers is None else numbers
    made = nn.Parameter(numbers, requires_grad=weight.requires_grad)
    for name, value in vars(weight).items():
        setattr(made, name, value)
    return made


class Mixed:
    """Stands in for an accelerator of one process on a CPU, of which a step takes its precision.

    Args:
        precision: of the base.
    """

    def __init__(self, precision: Precision) -> None:
        self.precision = precision

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision, as accelerate turns it on."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast("cpu", DTYPES[self.precision], **UNCACHED)


_IN_FP32 = ("layer_norm", "group_norm", "softmax")
"""What models like these compute in fp32 under a GPU's autocast, and not under a CPU's."""


@contextmanager
def as_on_gpu() -> Iterator[None]:
    """Within the block, a CPU's mixed precision is that of a GPU: norms are computed, and kept, in fp32."""

    def in_fp32(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if not torch.is_autocast_enabled("cpu"):
                return function(*args, **kwargs)
            with torch.autocast("cpu", enabled=False):
                return function(*map(_precise, args), **{name: _precise(value) for name, value in kwargs.items()})

        return call

    # Not a TorchFunctionMode: the backward pass would leave it, and compute checkpointed layers by other rules.
    before = {name: getattr(F, name) for name in _IN_FP32}
    for name, function in before.items():
        setattr(F, name, in_fp32(function))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(F, name, function)


def _precise(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value

"""Frozen weights in the processor's memory, brought to the GPU for each layer's computation alone.

diffusers' group offloading and accelerate's hooks do that for drawing. Neither has a backward pass: diffusers takes a
layer's weights away while its gradients still need them, accelerate leaves every one of them on the GPU until then; and
both take what learns away with what is frozen. Here what a backward pass needs of a frozen weight is brought again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

_LAYERS = ("ResnetBlock2D", "Attention", "FeedForward")
"""What is brought as one, by the names of diffusers' classes: nearly all of a UNet, none of them more than a few
hundredths of it."""


def stream(unet: Any, device: torch.device | str) -> None:
    """Bring a UNet to its device, but for the frozen weights of its layers, which stay in the processor's memory.

    They are brought to wherever a layer's input is, copies on a processor too. Weights that learn are left alone,
    whenever they came.

    Args:
        unet: diffusers' UNet2DConditionModel, in the processor's memory.
    """
    wanted = torch.device(device)
    stay = {id(weight) for weight in streamable(unet)}
    for module in unet.modules():
        for name, weight in module._parameters.items():
            if weight is not None and id(weight) not in stay:
                module._parameters[name] = nn.Parameter(weight.data.to(wanted), weight.requires_grad)
            elif weight is not None and wanted.type == "cuda":
                weight.data = weight.data.pin_memory()  # so that the GPU takes it while the processor goes on
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else buffer.to(wanted)
    start_streaming(unet)


def start_streaming(unet: Any) -> None:
    """Have a UNet's layers bring their frozen weights, wherever these are."""
    stop_streaming(unet)
    unet.streaming = _Streaming(unet)


def stop_streaming(unet: Any) -> None:
    """Have them computed with where they are."""
    if (streaming := vars(unet).pop("streaming", None)) is not None:
        streaming.remove()


@contextmanager
def as_streamed(unet: Any) -> Iterator[None]:
    """Within the block, what layers that compute on their own need for their backward pass is brought again too; the
    whole UNet sees to that by itself."""
    streaming = vars(unet).get("streaming")
    with nullcontext() if streaming is None else streaming.saved():
        yield


def streamed(unet: Any) -> list[nn.Parameter]:
    """The weights that are brought for their layers alone; none of a UNet that does not stream."""
    return list(streamable(unet)) if "streaming" in vars(unet) else []


def streamable(unet: Any) -> Iterator[nn.Parameter]:
    """The frozen weights of the layers that bring theirs."""
    return (weight for layer in _layers(unet) for weight in layer.parameters() if not weight.requires_grad)


def _layers(unet: Any) -> Iterator[nn.Module]:
    return (module for module in unet.modules() if type(module).__name__ in _LAYERS)


class _Kept(NamedTuple):
    """What a backward pass will need of a weight."""

    weight: nn.Parameter
    device: torch.device
    size: torch.Size
    stride: Any
    offset: Any


class _Streaming:
    """The hooks of one UNet."""

    def __init__(self, unet: Any) -> None:
        self._away: list[tuple[nn.Module, str, nn.Parameter]] = []
        self._copies: dict[int, nn.Parameter] = {}
        """Weights by the storage of their copies that are there."""
        self._saving: list[saved_tensors_hooks] = []
        # Around the whole UNet: within what is checkpointed, checkpointing's own hooks must be the inner ones.
        self._hooks = [
            unet.register_forward_pre_hook(self._begin),
            unet.register_forward_hook(self._end, always_call=True),
        ]
        for layer in _layers(unet):
            self._hooks.append(layer.register_forward_pre_hook(self._bring))
            # Checkpointing leaves a layer early, by an exception, once it has computed again what it lacks.
            self._hooks.append(layer.register_forward_hook(self._take_away, always_call=True))

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def saved(self) -> saved_tensors_hooks:
        return saved_tensors_hooks(self._pack, self._unpack)

    def _begin(self, unet: Any, given: Any) -> None:
        self._saving.append(self.saved())
        self._saving[-1].__enter__()

    def _end(self, unet: Any, given: Any, made: Any) -> None:
        self._saving.pop().__exit__(None, None, None)

    def _bring(self, layer: nn.Module, given: Any) -> None:
        device = given[0].device
        for module in layer.modules():
            for name, weight in module._parameters.items():
                # What diffusers loads beside weights that are elsewhere lies there too.
                if weight is not None and (not weight.requires_grad or weight.device != device):
                    copy = nn.Parameter(_copy(weight, device), requires_grad=False)
                    module._parameters[name] = copy
                    self._away.append((module, name, weight))
                    self._copies[copy.untyped_storage()._cdata] = weight

    def _take_away(self, layer: nn.Module, given: Any, made: Any) -> None:
        for module, name, weight in self._away:
            module._parameters[name] = weight
        self._away.clear()
        self._copies.clear()

    def _pack(self, tensor: Tensor) -> Tensor | _Kept:
        weight = self._copies.get(tensor.untyped_storage()._cdata)
        if weight is None:
            return tensor
        return _Kept(weight, tensor.device, tensor.size(), tensor.stride(), tensor.storage_offset())

    def _unpack(self, kept: Tensor | _Kept) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        return _copy(kept.weight, kept.device).as_strided(kept.size, kept.stride, kept.offset)


@torch.no_grad()
def _copy(weight: nn.Parameter, device: torch.device) -> Tensor:
    return weight.to(device, non_blocking=True, copy=True)

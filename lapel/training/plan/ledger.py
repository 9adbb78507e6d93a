"""A count of every byte that tensors hold, from their birth to their death."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

# A processor's attention does as much as a GPU's.
_ATEN = torch.ops.aten
_FORMULAS: dict[Any, Any] = {
    **flop_registry,
    _ATEN._scaled_dot_product_flash_attention_for_cpu: flop_registry[_ATEN._scaled_dot_product_flash_attention],
    _ATEN._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        _ATEN._scaled_dot_product_flash_attention_backward
    ],
}


class Ledger(TorchDispatchMode):
    """Within the block, the storage of every tensor that an operation makes is booked, and struck off when it dies.

    It counts real tensors and PyTorch's fake ones alike: what a step takes is told without memory for it. What a kernel
    takes for itself between its inputs and outputs is not seen. Beside the bytes, it counts the products of matrices.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        """Bytes that are alive."""
        self.peak = 0
        """The most that were."""
        self.flops = 0
        """Floating-point operations of matrix products, convolutions and attention so far, as PyTorch counts them."""
        self._alive: dict[int, weakref.finalize[..., Any]] = {}

    def hold(self, tensors: Iterable[Tensor]) -> int:
        """Book tensors that were there before; returns the bytes that are new, storage that is shared once."""
        before = self.now
        for tensor in tensors:
            self._book(tensor)
        return self.now - before

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if (formula := _FORMULAS.get(func._overloadpacket)) is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=made)
        if isinstance(made, Tensor):
            self._book(made)
        elif made is not None:
            for leaf in tree_leaves(made):
                if isinstance(leaf, Tensor):
                    self._book(leaf)
        return made

    def _book(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        # A view's storage is booked already, and so is an output that was written in place.
        if key in self._alive:
            return
        size = storage.nbytes()
        # torch keeps a storage's Python object as long as the storage lives, in graphs that Python does not see too.
        self._alive[key] = weakref.finalize(storage, self._strike, key, size)
        self.now += size
        self.peak = max(self.peak, self.now)

    def _strike(self, key: int, size: int) -> None:
        del self._alive[key]
        self.now -= size


def tensors_of(*modules: torch.nn.Module) -> list[Tensor]:
    """The parameters and buffers of modules."""
    return [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]

"""What an optimizer keeps of every weight."""

from __future__ import annotations

import torch
from torch import Tensor

from lapel.training.fused import FusedOptimizer
from lapel.training.settings import OptimizerName


def state_tensors(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Those that are there, of a fused backward pass's many optimizers too."""
    every = optimizer.singles if isinstance(optimizer, FusedOptimizer) else [optimizer]
    states = [value for one in every for state in one.state.values() for value in state.values()]
    return [value for value in states if isinstance(value, Tensor)]


def state_bytes(optimizer: OptimizerName, numbers: int) -> int:
    """Bytes of an optimizer's states over a vector of so many numbers.

    bitsandbytes keeps 8-bit states with a scale in fp32 for each block of 256 numbers, and a table of 256 values for
    each state (and, unless told as lapel tells it, states of fewer than 4096 numbers in fp32). Paged states may leave
    the GPU; they are counted all the same.
    """
    states = {"adamw8bit": 2, "paged_adamw8bit": 2, "lion8bit": 1, "adamw": 2, "sgd": 0}[optimizer]
    if not optimizer.endswith("8bit"):
        return states * numbers * 4 + (4 if optimizer == "adamw" else 0)
    return states * (numbers + -(-numbers // 256) * 4 + 256 * 4)

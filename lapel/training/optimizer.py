"""The trained weights as one vector, the optimizers by name, and the learning rate by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from lapel.errors import UserError
from lapel.training.settings import OptimizerSettings

# An adapter's tensors start at multiples of this: it is bitsandbytes' quantisation block, so that none of its blocks
# holds weights of two layers, and it keeps every tensor aligned.
BLOCK = 256


class Trainable:
    """The trained parameters, and their gradients, as one vector each.

    An adapter is hundreds of small matrices. Laid out in one piece, the optimizer, the gradient's norm, its average
    over processes and its reset to zero are one operation each instead of hundreds, and every weight gets 8-bit states,
    which bitsandbytes denies to tensors below 4096 elements.

    The parameters stay where they are in their modules; their storage becomes a view of `weights`, and their `.grad` a
    view of `weights.grad`. Do this last: moving or casting a module afterwards would part it from the vector.

    Args:
        groups: float32 parameters on one device; those of a group learn at one rate.
        rates: the peak learning rate of each group; the settings' own for all unless given.

    Raises:
        ValueError: where there are none, or they differ in device or are not float32: half-precision weights would
            lose most updates to rounding.
    """

    def __init__(self, *groups: Sequence[torch.nn.Parameter], rates: Sequence[float] = ()) -> None:
        self.parameters = [parameter for group in groups for parameter in group]
        self.weights, places = lay_out(self.parameters)
        self.weights.grad = torch.zeros_like(self.weights)
        for parameter, place in zip(self.parameters, places, strict=True):
            parameter.grad = self.weights.grad[place].view_as(parameter)
        self.pieces = [self.weights] if len(groups) == 1 else self._pieces(groups, places)
        """The vector's part of each group, one after the other, with their gradients: what an optimizer takes."""
        self.rates = rates

    def _pieces(
        self, groups: Sequence[Sequence[torch.nn.Parameter]], places: Sequence[slice]
    ) -> list[torch.nn.Parameter]:
        firsts, count = [], 0
        for group in groups:
            firsts.append(places[count].start)
            count += len(group)
        pieces = []
        for start, end in zip(firsts, [*firsts[1:], len(self.weights)], strict=True):
            piece = torch.nn.Parameter(self.weights.data[start:end])
            piece.grad = self.gradient[start:end]
            pieces.append(piece)
        return pieces

    @property
    def gradient(self) -> Tensor:
        """The gradient of all weights, zero in the padding between tensors."""
        assert self.weights.grad is not None
        return self.weights.grad

    @property
    def count(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters)

    def average(self, mean: Callable[[Tensor], Tensor]) -> None:
        """Take the mean of the gradient over the processes."""
        self.gradient.copy_(mean(self.gradient))

    def clip(self, max_norm: float) -> Tensor:
        """Scale the gradient down to `max_norm` (0: not at all); returns its norm before, a scalar on the device."""
        norm = torch.linalg.vector_norm(self.gradient)
        if max_norm > 0:
            self.gradient.mul_((max_norm / (norm + 1e-6)).clamp(max=1))
        return norm

    def clear(self) -> None:
        """Make the gradient zero, after a step."""
        self.gradient.zero_()


def lay_out(parameters: Sequence[torch.nn.Parameter]) -> tuple[torch.nn.Parameter, list[slice]]:
    """Move parameters into one vector, each at a multiple of `BLOCK`; returns it and their places.

    Raises:
        ValueError: as `Trainable` has it.
    """
    if not parameters or any(p.dtype != torch.float32 or p.device != parameters[0].device for p in parameters):
        raise ValueError("trained parameters must be float32 on one device, and there must be at least one")
    places, end = [], 0
    for parameter in parameters:
        places.append(slice(end, end + parameter.numel()))
        end += -(-parameter.numel() // BLOCK) * BLOCK
    weights = torch.nn.Parameter(torch.zeros(end, device=parameters[0].device))
    for parameter, place in zip(parameters, places, strict=True):
        parameter.data = weights.data[place].view_as(parameter).copy_(parameter.data)
    return weights, places


def make_optimizer(trainable: Trainable, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """The optimizer that `settings.optimizer` names, over the vector of weights, each group at its rate.

    Raises:
        UserError: where the optimizer cannot run on the weights' device.
    """
    rates = trainable.rates or [settings.learning_rate] * len(trainable.pieces)
    groups = [{"params": [piece], "lr": rate} for piece, rate in zip(trainable.pieces, rates, strict=True)]
    return OPTIMIZERS[settings.optimizer](groups, settings)


def make_schedule(optimizer: torch.optim.Optimizer, settings: OptimizerSettings) -> LRScheduler:
    """The learning rate by optimizer step: a linear warm-up from zero, then the named schedule over what is left."""
    from diffusers.optimization import get_scheduler

    name = "constant_with_warmup" if settings.schedule == "constant" else settings.schedule
    warmup_steps = round(settings.warmup * settings.steps)
    return get_scheduler(name, optimizer, num_warmup_steps=warmup_steps, num_training_steps=settings.steps)


MakeOptimizer = Callable[[list[dict[str, Any]], OptimizerSettings], torch.optim.Optimizer]
"""From torch's groups (`params` and `lr`) to the optimizer over them."""


def _torch(class_name: str) -> MakeOptimizer:
    def make(groups: list[dict[str, Any]], settings: OptimizerSettings) -> torch.optim.Optimizer:
        optimizer = getattr(torch.optim, class_name)
        return optimizer(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)

    return make


def _bitsandbytes(class_name: str) -> MakeOptimizer:
    def make(groups: list[dict[str, Any]], settings: OptimizerSettings) -> torch.optim.Optimizer:
        import bitsandbytes

        if class_name.startswith("Paged") and groups[0]["params"][0].device.type == "cpu":
            raise UserError(f"optimizer {settings.optimizer} pages a GPU's memory, and there is no GPU: use adamw8bit")
        optimizer = getattr(bitsandbytes.optim, class_name)
        # 8-bit states however few the weights are, so that a weight steps alone as it does within a vector.
        return optimizer(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay, min_8bit_size=1)

    return make


OPTIMIZERS: dict[str, MakeOptimizer] = {
    "adamw8bit": _bitsandbytes("AdamW8bit"),
    "adamw": _torch("AdamW"),
    "paged_adamw8bit": _bitsandbytes("PagedAdamW8bit"),
    "lion8bit": _bitsandbytes("Lion8bit"),
    "sgd": _torch("SGD"),
}

"""The adapter's weights as one vector, the optimizers by name, and the learning rate by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
        parameters: float32 parameters on one device.

    Raises:
        ValueError: where there are none, or they differ in device or are not float32: half-precision weights would
            lose most updates to rounding.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        if not parameters or any(p.dtype != torch.float32 or p.device != parameters[0].device for p in parameters):
            raise ValueError("trained parameters must be float32 on one device, and there must be at least one")
        self.parameters = list(parameters)
        starts, end = [], 0
        for parameter in parameters:
            starts.append(end)
            end += -(-parameter.numel() // BLOCK) * BLOCK
        self.weights = torch.nn.Parameter(torch.zeros(end, device=parameters[0].device))
        self.weights.grad = torch.zeros_like(self.weights)
        for parameter, start in zip(parameters, starts, strict=True):
            place = slice(start, start + parameter.numel())
            view = self.weights.data[place].view_as(parameter)
            parameter.data = view.copy_(parameter.data)
            parameter.grad = self.weights.grad[place].view_as(parameter)

    @property
    def gradient(self) -> Tensor:
        """The gradient of all weights, zero in the padding between tensors."""
        assert self.weights.grad is not None
        return self.weights.grad

    @property
    def count(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters)

    def clip(self, max_norm: float) -> Tensor:
        """Scale the gradient down to `max_norm` (0: not at all); returns its norm before, a scalar on the device."""
        norm = torch.linalg.vector_norm(self.gradient)
        if max_norm > 0:
            self.gradient.mul_((max_norm / (norm + 1e-6)).clamp(max=1))
        return norm


def make_optimizer(trainable: Trainable, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """The optimizer that `settings.optimizer` names, over the one vector of weights.

    Raises:
        UserError: where the optimizer cannot run on the weights' device.
    """
    return OPTIMIZERS[settings.optimizer](trainable.weights, settings)


def make_schedule(optimizer: torch.optim.Optimizer, settings: OptimizerSettings) -> LRScheduler:
    """The learning rate by optimizer step: a linear warm-up from zero, then the named schedule over what is left."""
    from diffusers.optimization import get_scheduler

    name = "constant_with_warmup" if settings.schedule == "constant" else settings.schedule
    warmup_steps = round(settings.warmup * settings.steps)
    return get_scheduler(name, optimizer, num_warmup_steps=warmup_steps, num_training_steps=settings.steps)


def _torch(class_name: str) -> Callable[[Tensor, OptimizerSettings], torch.optim.Optimizer]:
    def make(weights: Tensor, settings: OptimizerSettings) -> torch.optim.Optimizer:
        optimizer = getattr(torch.optim, class_name)
        return optimizer([weights], lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)

    return make


def _bitsandbytes(class_name: str) -> Callable[[Tensor, OptimizerSettings], torch.optim.Optimizer]:
    def make(weights: Tensor, settings: OptimizerSettings) -> torch.optim.Optimizer:
        import bitsandbytes

        if class_name.startswith("Paged") and weights.device.type == "cpu":
            raise UserError(f"optimizer {settings.optimizer} pages a GPU's memory, and there is no GPU: use adamw8bit")
        optimizer = getattr(bitsandbytes.optim, class_name)
        return optimizer([weights], lr=settings.learning_rate, weight_decay=settings.weight_decay)

    return make


OPTIMIZERS: dict[str, Callable[[Tensor, OptimizerSettings], torch.optim.Optimizer]] = {
    "adamw8bit": _bitsandbytes("AdamW8bit"),
    "adamw": _torch("AdamW"),
    "paged_adamw8bit": _bitsandbytes("PagedAdamW8bit"),
    "lion8bit": _bitsandbytes("Lion8bit"),
    "sgd": _torch("SGD"),
}

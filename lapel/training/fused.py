"""Fused backward: each weight is stepped as soon as its gradient is there, and the gradient's memory given back.

Of all the gradients of a whole model, which are as large as the model itself, a few then exist at once. That asks for
one backward pass a step, and nothing that looks at all gradients together before one is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lapel.training.optimizer import OPTIMIZERS, Trainable, lay_out, make_optimizer
from lapel.training.settings import OptimizerSettings

if TYPE_CHECKING:
    from accelerate import Accelerator


def trainable_of(
    groups: Sequence[Sequence[torch.nn.Parameter]],
    rates: Sequence[float],
    settings: OptimizerSettings,
    accelerator: Accelerator,
    fused: bool,
) -> tuple[Trainable, torch.optim.Optimizer]:
    """Groups of parameters, each with its peak rate, and the optimizer over them."""
    if not fused:
        plain = Trainable(*groups, rates=rates)
        return plain, make_optimizer(plain, settings)
    mean = (lambda gradient: accelerator.reduce(gradient, "mean")) if accelerator.num_processes > 1 else None
    trainable = FusedTrainable(*groups, settings=settings, rates=rates, mean=mean)
    return trainable, trainable.optimizer


class FusedTrainable(Trainable):
    """The trained parameters, each a vector of its own, without gradients but for a moment.

    Args:
        groups, rates: as for `Trainable`.
        settings: which optimizer; `max_grad_norm` must be 0 and `gradient_accumulation` 1.
        mean: of a gradient over the processes; nothing unless given.
    """

    def __init__(
        self,
        *groups: Sequence[torch.nn.Parameter],
        settings: OptimizerSettings,
        rates: Sequence[float] = (),
        mean: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        assert settings.gradient_accumulation == 1 and not settings.max_grad_norm, "see the module's docstring"
        self.parameters = [parameter for group in groups for parameter in group]
        self.pieces = [lay_out([parameter])[0] for parameter in self.parameters]
        self.rates = rates or [settings.learning_rate] * len(groups)
        self.optimizer = FusedOptimizer(self.pieces, [len(group) for group in groups], self.rates, settings)
        self._mean = mean
        self._squares = torch.zeros((), device=self.parameters[0].device)
        for number, parameter in enumerate(self.parameters):
            parameter.register_post_accumulate_grad_hook(self._stepping(number))

    def _stepping(self, number: int) -> Callable[[Tensor], None]:
        piece = self.pieces[number]

        def step(parameter: Tensor) -> None:
            assert parameter.grad is not None
            gradient = parameter.grad.flatten()
            parameter.grad = None
            piece.grad = torch.nn.functional.pad(gradient, (0, len(piece) - len(gradient)))
            if self._mean is not None:
                piece.grad = self._mean(piece.grad)
            self._squares += torch.linalg.vector_norm(piece.grad) ** 2
            self.optimizer.step_one(number)
            piece.grad = None

        return step

    @property
    def gradient(self) -> Tensor:
        raise RuntimeError("gradients are gone once they were used")

    def average(self, mean: Callable[[Tensor], Tensor]) -> None:
        """Nothing: each gradient was averaged before it was used."""

    def clip(self, max_norm: float) -> Tensor:
        """The norm of all gradients of the step, a scalar on the device; nothing is scaled any more."""
        return self._squares.sqrt()

    def clear(self) -> None:
        """Forget the norm, after a step."""
        self._squares.zero_()


class FusedOptimizer(torch.optim.Optimizer):
    """An optimizer for each vector, behind one whose groups have the rates that a schedule sets.

    Args:
        pieces: the vectors, group by group.
        counts: how many vectors a group has.
        rates: the peak rate of each group.
        settings: which optimizer, and its weight decay.
    """

    def __init__(
        self, pieces: Sequence[Tensor], counts: Sequence[int], rates: Sequence[float], settings: OptimizerSettings
    ) -> None:
        of_group = [group for group, count in enumerate(counts) for _ in range(count)]
        groups: list[dict[str, Any]] = [{"params": [], "lr": rate} for rate in rates]
        for piece, group in zip(pieces, of_group, strict=True):
            groups[group]["params"].append(piece)
        super().__init__(groups, {})
        self._of_group = of_group
        self.singles = [OPTIMIZERS[settings.optimizer]([{"params": [piece], "lr": 0.0}], settings) for piece in pieces]
        """Each vector's own."""

    def step_one(self, number: int) -> None:
        """Step one vector by its gradient, at the rate that its group has now."""
        optimizer = self.singles[number]
        optimizer.param_groups[0]["lr"] = self.param_groups[self._of_group[number]]["lr"]
        optimizer.step()

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Nothing: every vector was stepped when its gradient came."""

    def state_dict(self) -> dict[str, Any]:
        """The groups' rates, and the state of each vector's optimizer."""
        rates = [{key: value for key, value in group.items() if key != "params"} for group in self.param_groups]
        return {"groups": rates, "single": [optimizer.state_dict() for optimizer in self.singles]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As `state_dict` gave it."""
        for group, kept in zip(self.param_groups, state_dict["groups"], strict=True):
            group.update(kept)
        for optimizer, kept in zip(self.singles, state_dict["single"], strict=True):
            optimizer.load_state_dict(kept)

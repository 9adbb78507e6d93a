"""The moving average of the trained weights: less noise from the last batches, for a copy of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class Average:
    """The exponential moving average (EMA) of vectors of weights, by diffusers' EMAModel.

    In the first steps the average follows quickly: at step n its decay is at most (1 + n) / (10 + n).

    Args:
        pieces: the vectors, as `Trainable.pieces` has them.
        decay: of the average per step, below 1.
        in_system_memory: keep it there rather than beside the weights.
    """

    def __init__(self, pieces: Sequence[torch.nn.Parameter], decay: float, in_system_memory: bool = False) -> None:
        from diffusers.training_utils import EMAModel

        self._pieces = pieces
        self._device = torch.device("cpu") if in_system_memory else pieces[0].device
        self._ema = EMAModel(pieces, decay=decay)
        self._ema.to(self._device)

    def step(self) -> None:
        """Take in the weights as they are after a step of the optimizer."""
        # As parameters: diffusers copies, rather than averages, what does not learn.
        self._ema.step([torch.nn.Parameter(piece.detach().to(self._device)) for piece in self._pieces])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block, the average stands in the weights' place."""
        self._ema.store(self._pieces)
        self.settle()
        try:
            yield
        finally:
            self._ema.restore(self._pieces)

    @property
    def tensors(self) -> list[Tensor]:
        """The average of each vector."""
        return self._ema.shadow_params

    def settle(self) -> None:
        """Put the average into the weights' place, for good."""
        self._ema.copy_to(self._pieces)

    def state_dict(self) -> dict[str, Any]:
        """The average and how many steps it has seen."""
        return self._ema.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As `state_dict` gave it."""
        self._ema.load_state_dict(state)
        self._ema.to(self._device)

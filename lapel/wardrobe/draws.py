"""Seeded draws that are the same on every machine and Python.

Only `random.Random.random` is promised to stay the same across versions, so everything is made from it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """A stream of draws; another `stream` of the same seed is independent of it."""

    def __init__(self, seed: int, stream: int = 0) -> None:
        self._random = random.Random(seed * 1_000_003 + stream)

    def uniform(self, low: float, high: float) -> float:
        """A number from [low, high)."""
        return low + (high - low) * self._random.random()

    def integer(self, count: int) -> int:
        """One of 0 ... count - 1."""
        return int(self._random.random() * count)

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.integer(len(options))]

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return self._random.random() < probability

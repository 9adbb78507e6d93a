"""A guard against memory that spills: a run that no longer fits its device goes on in another memory, and crawls."""

from __future__ import annotations

import sys

import torch

SLOW = 4.0
"""A step that takes so many times as long as the fastest reading before is worth a word: buckets, evaluations and other
programs make less of a difference; system memory behind a bus makes more."""


class SpillGuard:
    """Looks at every reading how long its steps took, and what is allocated; each is told once.

    Windows' drivers let a GPU's allocations go on in system memory, and every system swaps what a processor uses.

    Args:
        device: of the run.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._step: int | None = None
        self._seconds = 0.0
        self._fastest = float("inf")
        self._told: set[str] = set()

    def look(self, step: int, seconds: float) -> list[str]:
        """What there is to tell after a reading, a line each.

        Args:
            step: that the run has come to.
            seconds: that all steps took so far, and nothing but steps; the device has finished them.
        """
        found = {"slow": self._slowness(step, seconds), "full": self._overflow()}
        lines = [line for name, line in found.items() if line and name not in self._told]
        self._told |= {name for name, line in found.items() if line}
        return lines

    def _slowness(self, step: int, seconds: float) -> str | None:
        before, self._step = self._step, step
        taken, self._seconds = seconds - self._seconds, seconds
        # What is set up in the first steps belongs to no step.
        if before is None or step <= before:
            return None
        each = taken / (step - before)
        usual, self._fastest = self._fastest, min(self._fastest, each)
        if each < SLOW * usual:
            return None
        where = "out of the GPU's memory" if self.device.type == "cuda" else "into swap space"
        return (
            f"steps take {each:.1f} s where they took {usual:.1f}: if nothing else keeps the machine busy, the run has "
            f"spilled {where}; stop it, and give --memory_budget less than there is"
        )

    def _overflow(self) -> str | None:
        if self.device.type != "cuda":
            return None
        reserved = torch.cuda.max_memory_reserved(self.device)
        owned = torch.cuda.get_device_properties(self.device).total_memory
        if reserved <= owned:
            return None
        return (
            f"{reserved / 1e9:.1f} GB are allocated on a GPU that has {owned / 1e9:.1f}: the rest lies in system "
            f"memory, and the run crawls; stop it, and give --memory_budget {0.9 * owned / 1e9:.1f}GB or less"
        )


def warn(lines: list[str]) -> None:
    """Print warnings, above a bar that may be there."""
    from tqdm import tqdm

    for line in lines:
        tqdm.write(f"warning: {line}", file=sys.stderr)

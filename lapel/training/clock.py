"""Where the time of a run goes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds by phase of a run. Phases do not nest: entering one stops the other until it is left."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._now = ""
        self._since = time.perf_counter()

    @classmethod
    def from_launch(cls) -> Clock:
        """A clock that has counted what was before it: this process as `imports`, `accelerate launch` as `launch`."""
        import psutil

        clock, process = cls(), psutil.Process()
        started, parent = process.create_time(), process.parent()
        # accelerate's launcher hands its settings over in variables of this name.
        if parent is not None and "ACCELERATE_MIXED_PRECISION" in os.environ:
            clock.add("launch", started - parent.create_time())
        clock.add("imports", time.time() - started)
        return clock

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the block's time as `name`'s, and no longer as that of the phase around it."""
        before = self._now
        self._turn(name)
        try:
            yield
        finally:
            self._turn(before)

    def add(self, name: str, seconds: float) -> None:
        """Count time that was spent before the clock was there."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def _turn(self, name: str) -> None:
        now = time.perf_counter()
        if self._now:
            self.add(self._now, now - self._since)
        self._now, self._since = name, now

    def words(self) -> str:
        """The breakdown in one line: `imports 9.1 s, load 1.2 s, ...; 120.3 s in all`."""
        phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
        return f"{phases}; {sum(self.seconds.values()):.1f} s in all"

    def share(self, *names: str) -> float:
        """The share of all time, 0 to 1, that these phases took."""
        return sum(self.seconds.get(name, 0.0) for name in names) / max(sum(self.seconds.values()), 1e-9)

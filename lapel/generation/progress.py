"""How far a drawing has come, for people who wait."""

from __future__ import annotations

import math
import sys
import time

from lapel.generation.denoise import Progress


def time_left() -> Progress:
    """A line on stderr that tells the share done and the time left; on a terminal it is one line that changes."""
    start = time.perf_counter()
    terminal = sys.stderr.isatty()
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        tenth = 10 * done // total
        if not terminal and tenth == told:
            return
        told = tenth
        left = math.ceil((time.perf_counter() - start) / done * (total - done))
        line = f"drawing: {100 * done // total:3d} %, {left // 60}:{left % 60:02d} left"
        print(line, end="\n" if done == total or not terminal else "\r", file=sys.stderr, flush=True)

    return tell

"""Stopping a run in good order: Ctrl-C and SIGTERM end it after the step that is going on."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn


class StopRequest:
    """Whether somebody asked the run to stop, and with which signal."""

    signal: int = 0


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Within the block, the first Ctrl-C or SIGTERM only sets the request; a second one acts as it would have."""
    request = StopRequest()
    handled = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in handled}

    def note(number: int, frame: FrameType | None) -> None:
        request.signal = number
        _restore(before)
        print("\nstopping after this step; once more to stop at once", flush=True)

    for number in handled:
        signal.signal(number, note)
    try:
        yield request
    finally:
        _restore(before)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def leave(number: int, step: int, run_folder: Path) -> NoReturn:
    """End the program as shells expect after a signal: exit code 130 for Ctrl-C, 143 for SIGTERM."""
    print(f"stopped and saved at step {step} in {run_folder}: the same command with --resume goes on", flush=True)
    raise SystemExit(128 + number)

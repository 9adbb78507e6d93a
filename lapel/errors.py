"""Errors that the user can mend, and the one place where a program turns them into lines and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the user can mend.

    ``UserError(*lines)``: each line is one finding and says what is wrong, in which file, and what to do.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines: tuple[str, ...] = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)


def run_program(main: Callable[[], None]) -> None:
    """Run `main` and leave the process.

    A `UserError` becomes one ``error: ...`` line per finding on stderr and exit code 2, without a traceback.
    Ctrl-C becomes exit code 130. Anything else is a fault of the program and keeps its traceback.
    """
    try:
        main()
    except UserError as error:
        for line in error.lines:
            print(f"error: {line}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None

"""Prints a command of the README, so that what is tested is what a newcomer types.

Usage: readme_command.py NAME [ARGUMENT...]

The command is the one line of the fenced block that follows `<!-- command: NAME -->`. The arguments are put after it.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def command(readme: str, name: str) -> str:
    """The command called `name` in the text of a README; ValueError where there is not exactly one line of it."""
    blocks = re.findall(rf"<!-- command: {re.escape(name)} -->\s*```\w*\n(.*?)\n```", readme, flags=re.S)
    if len(blocks) != 1 or "\n" in blocks[0]:
        raise ValueError(f"README.md must hold one block of one line after <!-- command: {name} -->")
    return blocks[0].strip()


if __name__ == "__main__":
    line = command(README.read_text(encoding="utf-8"), sys.argv[1])
    print(" ".join([line, *map(shlex.quote, sys.argv[2:])]))

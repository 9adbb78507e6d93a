"""What every measurement leaves: figures, a picture, and a table for documents."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.files import written_whole

if TYPE_CHECKING:
    from PIL import Image


def write(folder: Path, name: str, measured: Any, sheet: Image.Image) -> None:
    """`<name>.json` and `<name>.png`."""
    write_figures(folder, name, measured)
    with written_whole(folder / f"{name}.png") as path:
        sheet.save(path)


def write_figures(folder: Path, name: str, measured: Any) -> None:
    """`<name>.json`."""
    with written_whole(folder / f"{name}.json") as path:
        path.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


def write_table(folder: Path, name: str, lines: Iterable[str]) -> None:
    """`<name>.md`, and the same on the screen."""
    table = "\n".join(lines)
    with written_whole(folder / f"{name}.md") as path:
        path.write_text(table + "\n", encoding="utf-8")
    print(table)

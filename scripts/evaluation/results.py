"""What every measurement leaves: figures, a picture, and a table for documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.files import written_whole

if TYPE_CHECKING:
    from PIL import Image


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean of values, one a garment, and the ends of its 90 % interval over 1,000 resamples of the garments."""
    import numpy as np

    resampled = np.random.default_rng(0).choice(np.array(values, float), (1000, len(values))).mean(axis=1)
    low, high = np.quantile(resampled, (0.05, 0.95))
    return float(np.mean(values)), float(low), float(high)


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

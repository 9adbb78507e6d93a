"""The samples of a run by step, small enough for one page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lapel.report.embed import embedded, read_picture

if TYPE_CHECKING:
    from PIL import Image

MOST_STEPS = 12
"""Rows in the page; where a run has more, the first, the last, the kept one and some between are shown."""

PIXELS = 12e6
"""Of all samples in the page together: about 1.5 MB as WebP."""

LARGEST, SMALLEST = 512, 96
"""Pixels of a sample's longer side."""


@dataclass(frozen=True)
class SampleRow:
    """What was drawn at one step: pictures (data URLs) and their prompts, which are the base's own at step 0."""

    step: int
    pictures: tuple[str, ...]
    prompts: tuple[str, ...]


@dataclass(frozen=True)
class SampleSheet:
    """The rows that a page shows, and how many steps were sampled in all."""

    rows: tuple[SampleRow, ...]
    sampled: int

    @property
    def prompts(self) -> tuple[str, ...]:
        """Those of the last row."""
        return self.rows[-1].prompts if self.rows else ()

    def row_of(self, step: int | None) -> SampleRow | None:
        """The row of `step`, the last one where there is none of it, None where there are no rows."""
        last = self.rows[-1] if self.rows else None
        return next((row for row in self.rows if row.step == step), last)


def sample_sheet(folder: Path, kept_step: int | None) -> SampleSheet:
    """Of the run's `samples` folder, in which `images/step-<step>-<number>.png` are its samples.

    Raises:
        UserError: a sample that is to be shown is broken.
    """
    files = _files_by_step(folder / "images")
    shown = evenly(sorted(files), MOST_STEPS, kept_step)
    count = sum(len(files[step]) for step in shown)
    side = int(min(LARGEST, max(SMALLEST, (PIXELS / max(1, count)) ** 0.5)))
    return SampleSheet(tuple(_row(step, files[step], side) for step in shown), len(files))


def last_images(folder: Path, kept_step: int | None) -> list[tuple[str, Path]]:
    """Prompt and file of each sample of the kept step, or of the last step where the kept one was not sampled."""
    files = _files_by_step(folder / "images")
    if not files:
        return []
    return [(_prompt(read_picture(path)), path) for path in files[kept_step if kept_step in files else max(files)]]


def evenly(steps: Sequence[int], most: int, kept: int | None) -> list[int]:
    """At most `most` (2 or more) of sorted `steps`: both ends, `kept` where it is one of them, and others evenly."""
    if len(steps) <= most:
        return list(steps)
    chosen = [steps[round(place * (len(steps) - 1) / (most - 1))] for place in range(most)]
    if kept is not None and kept in steps and kept not in chosen and most > 2:
        inner = chosen[1:-1]
        chosen[1 + inner.index(min(inner, key=lambda step: abs(step - kept)))] = kept
    return sorted(chosen)


def _files_by_step(images: Path) -> dict[int, list[Path]]:
    found: dict[int, dict[int, Path]] = {}
    for path in images.glob("step-*.png"):
        if path.is_file() and (match := re.fullmatch(r"step-(\d+)-(\d+)", path.stem)):
            found.setdefault(int(match[1]), {})[int(match[2])] = path
    return {step: [files[number] for number in sorted(files)] for step, files in found.items()}


def _row(step: int, files: Sequence[Path], side: int) -> SampleRow:
    images = [read_picture(path) for path in files]
    return SampleRow(step, tuple(embedded(image, side) for image in images), tuple(map(_prompt, images)))


def _prompt(image: Image.Image) -> str:
    """The prompt in an image's "parameters" text, as `lapel.generation.images` writes it; "" where there is none."""
    text = str(image.info.get("parameters", ""))
    return re.split(r"\n(?:Negative prompt|Steps): ", text, maxsplit=1)[0]

"""Samples with fixed seeds, drawn every few steps into one growing contact sheet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lapel.adapters.fuse import reload_fused_encoders
from lapel.base.base import Base
from lapel.base.settings import BaseSettings
from lapel.files import written_whole
from lapel.generation import Request, generate_together, save_image
from lapel.photos import GarmentFolder
from lapel.sheet import contact_sheet
from lapel.training.settings import RunSettings

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


@contextmanager
def drawing(base: Base, settings: BaseSettings) -> Iterator[DiffusionPipeline]:
    """A pipeline on the base as it is now, adapter included; encoders that were released come back for the while."""
    released = not base.text_encoders
    if released:
        reload_fused_encoders(base, settings)
    try:
        yield base.pipeline()
    finally:
        if released:
            base.release_encoders()


class Samples:
    """The contact sheet of a run: a column for each prompt, a row for each step that was sampled.

    Args:
        folder: the run's `samples`; the sheet is `sheet.png` in it, the single images lie in `images`.
        settings: prompts, denoising steps and guidance. Each prompt has a seed of its own, the same at every step.
        garment: its trigger and class word take the place of `{garment}`.
        side: of the square images, in pixels.
    """

    def __init__(self, folder: Path, settings: RunSettings, garment: GarmentFolder, side: int) -> None:
        self.folder = folder
        words = f"{garment.trigger} {garment.class_word}"
        self.requests = [
            Request(
                prompt=prompt.replace("{garment}", words),
                width=side,
                height=side,
                steps=settings.sample_steps,
                guidance=settings.sample_guidance,
                seeds=[seed],
                batch=settings.sample_batch,
            )
            for seed, prompt in enumerate(settings.sample_prompts)
        ]

    def draw(self, pipeline: DiffusionPipeline, step: int) -> Path:
        """Draw the row of `step` with the adapter as it is now, and write the sheet anew; returns the sheet."""
        images = self.folder / "images"
        images.mkdir(parents=True, exist_ok=True)
        drawn = generate_together(pipeline, self.requests)
        for number, (request, (image,)) in enumerate(zip(self.requests, drawn, strict=True)):
            save_image(images / f"step-{step:06d}-{number}.png", image, request, request.seeds[0])
        return self._write_sheet()

    def _write_sheet(self) -> Path:
        """The sheet of every image on disk, so that a resumed run adds to what it finds."""
        from PIL import Image

        files: dict[int, list[Path]] = {}
        for path in sorted((self.folder / "images").glob("step-*.png")):
            if match := re.fullmatch(r"step-(\d+)-\d+", path.stem):
                files.setdefault(int(match[1]), []).append(path)
        rows = [[Image.open(path) for path in row] for row in files.values()]
        sheet = contact_sheet(rows, [f"step {step}" for step in files], [request.prompt for request in self.requests])
        path = self.folder / "sheet.png"
        with written_whole(path) as unfinished:
            sheet.save(unfinished)
        return path

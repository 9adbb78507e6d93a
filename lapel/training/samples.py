"""Samples with fixed seeds, drawn every few steps into one growing contact sheet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lapel.adapters.fuse import reload_fused_encoders
from lapel.base.base import DTYPES, UNCACHED, Base
from lapel.base.emphasis import escaped
from lapel.base.settings import BaseSettings
from lapel.files import written_whole
from lapel.generation import GarmentPhotos, PictureSettings, generate_together, save_image
from lapel.photos import GarmentFolder
from lapel.photos.captions import filled
from lapel.sheet import contact_sheet
from lapel.training.run_settings import RunSettings

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from PIL import Image


@contextmanager
def drawing(base: Base, settings: BaseSettings) -> Iterator[DiffusionPipeline]:
    """A pipeline on the base as it is now, adapter included; encoders that were released come back for the while."""
    released = not base.text_encoders
    if released:
        reload_fused_encoders(base, settings)
    try:
        with _in_precision(base, settings):
            yield base.pipeline()
    finally:
        if released:
            base.release_encoders()


@contextmanager
def _in_precision(base: Base, settings: BaseSettings) -> Iterator[None]:
    """The UNet in the run's precision, also where its weights are fp32 because they are learned."""
    import torch
    from accelerate.utils import convert_outputs_to_fp32

    dtype = base.dtype if settings.precision is None else DTYPES[settings.precision]
    if dtype == base.dtype:
        yield
        return
    mixed = torch.autocast(base.device.type, dtype, **UNCACHED)
    base.unet.forward = convert_outputs_to_fp32(mixed(base.unet.forward))
    try:
        yield
    finally:
        del base.unet.forward


class Samples:
    """The contact sheet of a run: a column for each picture, a row for each step that was sampled.

    Args:
        folder: the run's `samples`; the sheet is `sheet.png` in it, the single images lie in `images`.
        settings: prompts, denoising steps and guidance. Each image has a seed of its own, the same at every step.
        garment: its trigger and class word take the place of `{garment}`; before the first step, the class word alone.
        side: of the square images, in pixels.
        shown: what a garment encoder that the base wears is shown.
    """

    def __init__(
        self,
        folder: Path,
        settings: RunSettings,
        garment: GarmentFolder,
        side: int,
        shown: GarmentPhotos | None = None,
    ) -> None:
        self.folder = folder
        self.settings, self.side, self.shown = settings, side, shown
        words = escaped(f"{garment.trigger} {garment.class_word}")
        self.named = [filled(prompt, words) for prompt in settings.sample_prompts]
        """The prompts as they ask for the garment."""
        self.plain = [filled(prompt, escaped(garment.class_word)) for prompt in settings.sample_prompts]
        """The prompts by words that the base knows."""

    @property
    def prompts(self) -> list[str]:
        """The plain prompt of each image that `draw` returns."""
        return [prompt for prompt in self.plain for _ in range(self.settings.sample_images)]

    def draw(self, pipeline: DiffusionPipeline, step: int) -> list[Image.Image]:
        """Draw the row of `step` with the adapter as it is now, and write the sheet anew; returns the row's images."""
        pictures = self._pictures(self.named if step else self.plain)
        return self._draw_row(step, pictures, self._drawn(pipeline, pictures))

    def draw_again(self, pipeline: DiffusionPipeline) -> list[Image.Image]:
        """The images that `draw` returns, with the adapter as it is now; nothing is written."""
        return [image for of_prompt in self._drawn(pipeline, self._pictures(self.named)) for image in of_prompt]

    def _drawn(self, pipeline: DiffusionPipeline, pictures: Sequence[PictureSettings]) -> list[list[Image.Image]]:
        shown = [self.shown] * len(pictures) if self.shown else None
        return generate_together(pipeline, pictures, photos=shown)

    def _draw_row(
        self, step: int, pictures: list[PictureSettings], drawn: list[list[Image.Image]]
    ) -> list[Image.Image]:
        """Save a row of the sheet."""
        images = self.folder / "images"
        images.mkdir(parents=True, exist_ok=True)
        row = [
            (image, picture, seed)
            for picture, of_prompt in zip(pictures, drawn, strict=True)
            for image, seed in zip(of_prompt, picture.image_seeds(), strict=True)
        ]
        for number, (image, picture, seed) in enumerate(row):
            save_image(images / f"step-{step:06d}-{number}.png", image, picture, seed)
        self._write_sheet()
        return [image for image, _, _ in row]

    def _pictures(self, prompts: Sequence[str]) -> list[PictureSettings]:
        settings, each = self.settings, self.settings.sample_images
        return [
            PictureSettings(
                prompt=prompt,
                width=self.side,
                height=self.side,
                steps=settings.sample_steps,
                guidance=settings.sample_guidance,
                seeds=[number * each + image for image in range(each)],
                batch=settings.sample_batch,
            )
            for number, prompt in enumerate(prompts)
        ]

    def _write_sheet(self) -> None:
        """The sheet of every image on disk, so that a resumed run adds to what it finds."""
        from PIL import Image

        files: dict[int, dict[int, Path]] = {}
        for path in (self.folder / "images").glob("step-*.png"):
            if match := re.fullmatch(r"step-(\d+)-(\d+)", path.stem):
                files.setdefault(int(match[1]), {})[int(match[2])] = path
        rows = [[Image.open(row[number]) for number in sorted(row)] for _, row in sorted(files.items())]
        labels = [f"step {step}" if step else "base" for step in sorted(files)]
        sheet = contact_sheet(rows, labels, self.prompts)
        with written_whole(self.folder / "sheet.png") as unfinished:
            sheet.save(unfinished)


class PhotoSamples(Samples):
    """The contact sheet of a garment encoder's run: every prompt for some garments, each shown by a photo.

    Args:
        folder, settings, side: as for `Samples`.
        shown: for each garment its words, which take their article, and what the encoder is shown of it.
    """

    def __init__(
        self, folder: Path, settings: RunSettings, shown: Sequence[tuple[str, GarmentPhotos]], side: int
    ) -> None:
        self.folder, self.settings, self.side = folder, settings, side
        texts = [filled(prompt, words, articled=True) for words, _ in shown for prompt in settings.sample_prompts]
        self.plain = texts
        self.photos = [photos for _, photos in shown for _ in settings.sample_prompts]

    def draw(self, pipeline: DiffusionPipeline, step: int) -> list[Image.Image]:
        """Draw the row of `step` with the encoder as it is now, and write the sheet anew; returns the row's images."""
        pictures = self._pictures(self.plain)
        return self._draw_row(step, pictures, generate_together(pipeline, pictures, photos=self.photos))

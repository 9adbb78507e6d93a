"""Class images: what the base draws of the class, once, for a fine-tuning to keep (DreamBooth; Ruiz et al., 2023).

They have the captions and the sizes of the photos, each in turn, so that size and crop conditioning are the same when
they are drawn as when they are learned from. An image is named by all that it depends on, and drawn once.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lapel.base.base import Base
from lapel.base.settings import BaseSettings
from lapel.generation import PictureSettings, generate_together, save_image
from lapel.training.data import Batch, Batches, Example
from lapel.training.encoding import encode_latents
from lapel.training.facts import wearing
from lapel.training.samples import drawing
from lapel.training.settings import PriorSettings

VERSION = "1"


@dataclass(frozen=True)
class ClassBatch(Batch):
    """Photos of the garment, and as many class images."""

    classes: Batch


class ClassBatches:
    """Draws batches of both kinds, each a pure function of the step."""

    def __init__(self, photos: Batches, classes: Batches) -> None:
        self.photos, self.classes = photos, classes

    def draw(self, step: int, part: int = 0) -> ClassBatch:
        """This process's share of the batch of a step; `part` counts the forward passes of gradient accumulation."""
        return ClassBatch(**vars(self.photos.draw(step, part)), classes=self.classes.draw(step, part))


@dataclass(frozen=True)
class Wanted:
    """One class image."""

    prompt: str
    width: int
    height: int
    seed: int


def class_examples(
    base: Base,
    base_settings: BaseSettings,
    settings: PriorSettings,
    photos: Sequence[Example],
    prompts: Sequence[str],
    cache_dir: Path,
    batch: int,
) -> list[Example]:
    """The class images as examples, drawn where the cache lacks them.

    Args:
        photos: the garment's, encoded, whose sizes are taken in turn.
        prompts: for each of them, what stands for it in the class.
        batch: images drawn at once.
    """
    wanted = [_twin(base, photos, prompts, number) for number in range(settings.class_images)]
    files = draw_class_images(base, base_settings, settings, wanted, cache_dir / "class-images", batch)
    encoded = encode_latents(base, _as_photos(files), cache_dir)
    return [
        Example(file.name, one.prompt, row["as_is.0.mean"], row["as_is.0.std"], row["as_is.mask"])
        for one, file, row in zip(wanted, files, encoded, strict=True)
    ]


def _twin(base: Base, photos: Sequence[Example], prompts: Sequence[str], number: int) -> Wanted:
    """The class image of that number: of the size and prompt of the photo whose turn it is."""
    photo, prompt = photos[number % len(photos)], prompts[number % len(photos)]
    height, width = (side * base.latent_stride for side in photo.mean.shape[-2:])
    return Wanted(prompt, width, height, number)


def draw_class_images(
    base: Base, base_settings: BaseSettings, settings: PriorSettings, wanted: Sequence[Wanted], folder: Path, batch: int
) -> list[Path]:
    """The files of class images in `folder`, those that are missing drawn first, with a bar that tells the time left.

    A file is named by the base's content, what it wears, and all that the image is drawn with.
    """
    from tqdm import tqdm

    files = [folder / f"{_name(base, settings, one)}.png" for one in wanted]
    missing: dict[tuple[int, int], list[tuple[Wanted, Path]]] = {}
    for one, file in zip(wanted, files, strict=True):
        if not file.is_file():
            missing.setdefault((one.width, one.height), []).append((one, file))
    total = sum(map(len, missing.values()))
    if not total:
        return files
    folder.mkdir(parents=True, exist_ok=True)
    with drawing(base, base_settings) as pipeline, tqdm(total=total, desc="class images", unit="image") as progress:
        for of_size in missing.values():
            for start in range(0, len(of_size), batch):
                some = of_size[start : start + batch]
                pictures = [_picture(settings, one, batch) for one, _ in some]
                drawn = generate_together(pipeline, pictures)
                for (image,), picture, (one, file) in zip(drawn, pictures, some, strict=True):
                    save_image(file, image, picture, one.seed)
                progress.update(len(some))
    return files


def _picture(settings: PriorSettings, one: Wanted, batch: int) -> PictureSettings:
    return PictureSettings(
        prompt=one.prompt,
        width=one.width,
        height=one.height,
        steps=settings.class_steps,
        guidance=settings.class_guidance,
        seeds=[one.seed],
        batch=batch,
    )


def _name(base: Base, settings: PriorSettings, one: Wanted) -> str:
    drawn_by = [base.hash, base.clip_skip, base.vae_name, wearing(base), base.prediction_type, base.zero_terminal_snr]
    parts: list[Any] = [VERSION, *drawn_by, settings.class_steps, settings.class_guidance, *dataclasses.astuple(one)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def _as_photos(files: Sequence[Path]) -> Any:
    """Rows with `image` and `mask`, as an intake has them; all of a class image counts."""
    from datasets import Dataset, Features, Image
    from PIL import Image as Pictures

    images = [{"bytes": file.read_bytes(), "path": None} for file in files]
    masks = [Pictures.new("L", Pictures.open(file).size, 255) for file in files]
    features = Features({"image": Image(mode="RGB"), "mask": Image(mode="L")})
    return Dataset.from_dict({"image": images, "mask": masks}, features=features)

"""Look at a garment folder as a training will: python scripts/prepare.py --garment_dir DIR

Photos are checked, masked, captioned and cut as `trainers/lora.py` does it by itself, and shown on one page and one
contact sheet, with what the base's VAE makes of them and the backdrops that they are put on as well.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lapel.adapters.settings import AdapterSettings
from lapel.adapters.tuning_settings import TuningSettings
from lapel.base.settings import BaseSettings
from lapel.errors import run_program
from lapel.files import require_writable, written_whole
from lapel.photos import GarmentFolder, PhotoSettings, check_garment_dir, read_garment
from lapel.quiet import quiet
from lapel.settings import read_settings
from lapel.training.run_settings import ChoiceSettings, PlanSettings, RunSettings, StrengthSettings
from lapel.training.settings import (
    CaptionSettings,
    GarmentObjectiveSettings,
    InversionSettings,
    OptimizerSettings,
    PriorSettings,
    with_preset,
)

if TYPE_CHECKING:
    from PIL import Image

    from lapel.base.base import Base
    from lapel.photos.folder import Listing

OF_TRAINING = (
    *(AdapterSettings, TuningSettings, PriorSettings, GarmentObjectiveSettings, CaptionSettings),
    *(OptimizerSettings, RunSettings, ChoiceSettings, StrengthSettings, InversionSettings, PlanSettings),
)
"""What else a preset holds; nothing of it changes what the photos look like."""


@dataclass
class PrepareSettings:
    """Where the page goes."""

    output_dir: Path | None = None
    """Takes `photos.html` and `photos.png`; unless given, runs/NAME, where a training of the folder puts its own."""

    write_captions: bool = False
    """Write `photo.txt` beside each photo that has none, with `{garment}` for trigger and class word, to edit. What
    stands in such a file is kept for ever after."""

    cache_dir: Path | None = None
    """Where the examples are kept; unless given, where trainings look for them."""


def main() -> None:
    """Read the folder, show it, and refuse it where a training would."""
    photos, base_settings, settings = read_settings(
        __doc__ or "",
        *(PhotoSettings, BaseSettings, PrepareSettings),
        argv=with_preset(sys.argv[1:], "tiny"),
        beside=OF_TRAINING,
    )
    listing = check_garment_dir(photos)
    output_dir = settings.output_dir or Path("runs") / listing.name
    require_writable(output_dir)

    quiet()
    from lapel.base.load import load_base
    from lapel.fidelity.models import load_models
    from lapel.photos.read import read_picture
    from lapel.report import finding_lines, photo_lines, write_photos
    from lapel.training.encoding import cache_folder

    base = load_base(base_settings)
    resolution = photos.resolution or base.resolution
    cache_dir, models = cache_folder(settings.cache_dir), load_models(photos)
    garment = read_garment(photos, resolution, base.multiple, cache_dir, models)
    whole = (read_picture(photo.path, photos.background).colour for photo in listing.photos)
    seen = (after_vae(base, row["image"]) for row in garment.photos)
    paths: tuple[Path, ...] = write_photos(output_dir, garment, whole, seen, on_backdrops(garment, photos))
    print(f"{garment.name}, learned as '{garment.trigger} {garment.class_word}'")
    for attribute, value in garment.attributes.items():
        print(f"  {attribute}: {value} (by {garment.sources[attribute]})")
    print("\n".join(["", *photo_lines(garment)]))
    print("\n" + "\n".join(finding_lines(garment) or ["  nothing to say against them"]) + "\n")
    if settings.write_captions:
        paths = (*paths, *write_captions(listing, garment))
    print("\n".join(map(str, paths)))
    garment.require_sound()


def write_captions(listing: Listing, garment: GarmentFolder) -> Iterator[Path]:
    """Each photo's caption into its own text file; one that is there stays as it is."""
    name = f"{garment.trigger} {garment.class_word}"
    for photo, caption in zip(listing.photos, garment.photos["caption"], strict=True):
        path = photo.path.with_suffix(".txt")
        if not path.exists():
            with written_whole(path) as unfinished:
                unfinished.write_text(caption.replace(name, "{garment}") + "\n", encoding="utf-8")
            yield path


def on_backdrops(garment: GarmentFolder, settings: PhotoSettings) -> Iterator[list[tuple[Image.Image, str]]]:
    """Each photo on its backdrops, with the captions that a training gives them."""
    from lapel.photos.backdrops import backdrops_for, caption_on, list_pictures, painted

    pictures = list_pictures(settings)
    for row in garment.photos:
        backdrops = backdrops_for(row, settings, pictures)
        captions = [caption_on(row, backdrop) for backdrop in backdrops]
        yield list(zip(painted(row, backdrops), captions, strict=True))


def after_vae(base: Base, image: Image.Image) -> Image.Image:
    """An RGB image as the UNet is taught to draw it: encoded, at the latents' mean, and decoded."""
    import numpy as np
    import torch
    from PIL import Image

    vae = base.vae
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(vae.device, vae.dtype) / 127.5 - 1
    with torch.inference_mode():
        decoded = vae.decode(vae.encode(pixels).latent_dist.mean).sample.float().clamp(-1, 1)
    return Image.fromarray(((decoded[0].permute(1, 2, 0) + 1) * 127.5).round().byte().cpu().numpy())


if __name__ == "__main__":
    run_program(main)

"""Builds `tiny`'s inpainting variant from nothing but `tiny` and the wardrobe.

    python scripts/build_inpainting.py --output_dir build/inpainting

draws people and clothes, hides parts of them, encodes both by `tiny`, and trains its UNet further. A run that was
stopped goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lapel.errors import run_program
from lapel.quiet import quiet
from lapel.settings import read_settings


@dataclass
class InpaintingSettings:
    """How long and on what the variant is trained."""

    output_dir: Path
    """Where state, log and the finished UNet (`unet`) go."""
    photos: int = 12000
    """How many photos are drawn: about 55 KB each."""
    steps: int = 1500
    """Of 16 each."""
    learning_rate: float = 3e-4
    """The peak of the rate."""
    threads: int = 2
    """CPU threads."""
    compile: bool = True
    """Whether the UNet is compiled: steps take about two thirds of the time, after some minutes of compiling. It needs
    a C++ compiler."""


def main() -> None:
    """Draw, encode, train and write."""
    (settings,) = read_settings(__doc__ or "", InpaintingSettings)
    quiet()
    import torch
    from diffusers import DDPMScheduler

    from lapel.base.load import load_base
    from lapel.base.settings import BaseSettings
    from lapel.training.pretraining.inpainting import draw_hidden, make_inpainting, train_inpainting
    from lapel.training.pretraining.loop import Recipe
    from lapel.training.pretraining.unet import encode_photos
    from lapel.training.pretraining.vae import encode_pool

    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    base = load_base(BaseSettings(base="tiny", precision="fp32"))
    pipeline, folder = base.pipeline(), settings.output_dir
    hidden = draw_hidden(folder, settings.photos, base.resolution, base.latent_stride, settings.threads)
    encoded = encode_photos(pipeline, hidden.images, hidden.captions, folder)
    size, factor = hidden.images.shape[1], pipeline.vae.config.scaling_factor
    around, _ = encode_pool(pipeline.vae, hidden.around(), settings.photos, size, folder / "around")
    unet = make_inpainting(pipeline.unet)
    recipe = Recipe(settings.steps, batch=16, learning_rate=settings.learning_rate, compiled=settings.compile)
    scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    train_inpainting(unet, scheduler, encoded, hidden, around * factor, recipe, folder)
    unet.half().save_pretrained(folder / "unet")
    print(f"{folder / 'unet'}: {sum(file.stat().st_size for file in (folder / 'unet').iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    run_program(main)

"""Builds `tiny`'s ControlNet, for skeletons and parsing maps, from nothing but the wardrobe.

    python scripts/build_control.py --output_dir build/control

draws people with their maps, encodes them by `tiny`, and trains. A run that was stopped goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lapel.errors import run_program
from lapel.quiet import quiet
from lapel.settings import read_settings


@dataclass
class ControlSettings:
    """How long and on what the ControlNet is trained."""

    output_dir: Path
    """Where state, log and the finished ControlNet (`control`) go."""
    start_from: Path | None = None
    """A ControlNet's folder whose weights are trained further; by default it begins as the UNet's own encoder."""
    photos: int = 8000
    """How many people are drawn: about 81 KB each."""
    steps: int = 1500
    """Of 16 each."""
    learning_rate: float = 5e-4
    """The peak of the rate."""
    threads: int = 2
    """CPU threads."""
    compile: bool = True
    """Whether the networks are compiled: steps take about two thirds of the time, after some minutes of compiling. It
    needs a C++ compiler."""


def main() -> None:
    """Draw, encode, train and write."""
    (settings,) = read_settings(__doc__ or "", ControlSettings)
    quiet()
    import torch
    from diffusers import DDPMScheduler

    from lapel.base.load import load_base
    from lapel.base.settings import BaseSettings
    from lapel.training.pretraining.control import draw_people, make_control, train_control
    from lapel.training.pretraining.loop import Recipe
    from lapel.training.pretraining.unet import encode_photos

    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    pipeline = load_base(BaseSettings(base="tiny", precision="fp32")).pipeline()
    people = draw_people(settings.output_dir, settings.photos, 96, settings.threads)
    encoded = encode_photos(pipeline, people.images, people.captions, settings.output_dir)
    control = make_control(pipeline.unet)
    if settings.start_from is not None:
        control.load_state_dict(type(control).from_pretrained(settings.start_from).float().state_dict())
    recipe = Recipe(settings.steps, batch=16, learning_rate=settings.learning_rate, compiled=settings.compile)
    scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
    train_control(control, pipeline.unet, scheduler, encoded, people, recipe, settings.output_dir)
    folder = settings.output_dir / "control"
    control.half().save_pretrained(folder)
    print(f"{folder}: {sum(file.stat().st_size for file in folder.iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    run_program(main)

"""Class images: drawn once, at the photos' sizes, and conditioned in training as when they were drawn."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from PIL import Image

from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.training.class_images import ClassBatches, class_examples, draw_class_images
from lapel.training.data import Batches, Example
from lapel.training.encoding import text_of
from lapel.training.predict import predictor
from lapel.training.settings import PriorSettings

SIZES = ((64, 96), (128, 64), (64, 64))
"""(width, height) in pixels."""


@pytest.fixture(scope="module")
def base(small_sdxl: Path) -> Base:
    return load_base(BaseSettings(base=str(small_sdxl), precision="fp32"))


def photos(base: Base) -> list[Example]:
    examples = []
    for number, (width, height) in enumerate(SIZES):
        shape = (4, height // base.latent_stride, width // base.latent_stride)
        mask = torch.ones(1, *shape[1:])
        examples.append(Example(f"{number}.png", "a photo of ohwx dress", torch.zeros(shape), torch.ones(shape), mask))
    return examples


def seen_conditions(base: Base) -> tuple[list[tuple[int, ...]], Any]:
    """The sizes and crops that the UNet is told from now on, with the pixels of what it is given; and the hook."""
    seen: list[tuple[int, ...]] = []

    def look(module: Any, args: Any, kwargs: Any) -> None:
        height, width = (side * base.latent_stride for side in args[0].shape[-2:])
        told = kwargs["added_cond_kwargs"]["time_ids"]
        seen.extend((width, height, *(int(number) for number in row)) for row in told)

    return seen, base.unet.register_forward_pre_hook(look, with_kwargs=True)


def test_size_and_crop_are_told_in_training_as_they_were_when_drawn(base: Base, tmp_path: Path) -> None:
    settings = PriorSettings(prior="class_images", class_images=3, class_steps=1, class_guidance=1)
    seen, hook = seen_conditions(base)
    prompts = ["a dress", "a dress, worn", "a dress"]
    examples = class_examples(base, BaseSettings(precision="fp32"), settings, photos(base), prompts, tmp_path, 2)
    drawn = set(seen)
    seen.clear()
    classes = Batches(examples, seed=1, batch_size=2, timesteps=1000)
    predict = predictor(base, text_of(base, classes.captions, True, tmp_path), Accelerator(cpu=True))
    for step in range(12):
        batch = classes.draw(step)
        with torch.no_grad():
            predict(batch.latents, batch.timesteps, batch.captions)
    hook.remove()
    assert drawn == {(width, height, height, width, 0, 0, height, width) for width, height in SIZES}
    assert set(seen) == drawn
    assert [example.caption for example in examples] == prompts
    assert all(bool((example.mask == 1).all()) for example in examples)


def test_a_batch_has_as_many_class_images_as_photos(base: Base) -> None:
    same = {"batch_size": 2, "timesteps": 1000}
    batches = ClassBatches(Batches(photos(base), seed=0, **same), Batches(photos(base), seed=1, **same))
    batch = batches.draw(3)
    assert len(batch.latents) == len(batch.classes.latents) == 2
    again = batches.draw(3)
    assert torch.equal(batch.classes.noise, again.classes.noise)
    assert batch.noise.shape != batch.classes.noise.shape or not torch.equal(batch.noise, batch.classes.noise)


def test_images_are_drawn_once_and_anew_for_whatever_they_depend_on(base: Base, tmp_path: Path) -> None:
    from lapel.training.class_images import Wanted

    settings = PriorSettings(class_steps=1, class_guidance=1)
    wanted = [Wanted("a dress", 64, 64, seed) for seed in range(2)]
    plain = BaseSettings(precision="fp32")
    files = draw_class_images(base, plain, settings, wanted, tmp_path, 2)
    assert [Image.open(file).size for file in files] == [(64, 64)] * 2
    written = [file.stat().st_mtime_ns for file in files]
    more = draw_class_images(base, plain, settings, [*wanted, Wanted("a dress", 64, 64, 2)], tmp_path, 2)
    assert more[:2] == files
    assert [file.stat().st_mtime_ns for file in files] == written
    others = [
        draw_class_images(base, plain, dataclasses.replace(settings, class_steps=2), wanted[:1], tmp_path, 1),
        draw_class_images(base, plain, settings, [Wanted("a shirt", 64, 64, 0)], tmp_path, 1),
        draw_class_images(base, plain, settings, [Wanted("a dress", 64, 128, 0)], tmp_path, 1),
        draw_class_images(dataclasses.replace(base, clip_skip=2), plain, settings, wanted[:1], tmp_path, 1),
    ]
    assert len({file for of_one in others for file in of_one} | set(more)) == 7

"""Images depend on their settings and seed, and on nothing else."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lapel.adapters.encoder import inject_encoder
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.base.shapes import random_base, random_pipeline
from lapel.generation import GarmentPhotos, PictureSettings, generate, generate_together


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return random_pipeline("tiny", tmp_path_factory.mktemp("base"))


def _pixels(images: list[Any]) -> np.ndarray:
    return np.stack([np.asarray(image, np.int16) for image in images])


@pytest.mark.parametrize("scheduler", [None, "Euler a", "DPM++ 2M SDE Karras"])
def test_an_image_does_not_depend_on_its_batch_mates(pipeline: Any, scheduler: str | None) -> None:
    picture = PictureSettings(prompt="a red t-shirt", steps=3, seeds=[3, 4, 5], scheduler=scheduler, batch=3)
    together = _pixels(generate(pipeline, picture))
    for index, seed in enumerate([3, 4, 5]):
        alone = _pixels(
            generate(pipeline, PictureSettings(prompt="a red t-shirt", steps=3, seeds=[seed], scheduler=scheduler))
        )
        # products of matrices of another height round differently: a level of 255 at most
        assert np.abs(alone[0] - together[index]).max() <= 1
    assert np.abs(together[0] - together[1]).max() > 8


def test_pictures_drawn_together_are_drawn_as_alone(pipeline: Any) -> None:
    pictures = [PictureSettings(prompt="a red t-shirt", steps=2, seeds=[1], images=2, batch=3)]
    pictures.append(PictureSettings(prompt="a blue dress", negative_prompt="red", steps=2, seeds=[7], batch=3))
    together = generate_together(pipeline, pictures)
    assert [len(images) for images in together] == [2, 1]
    for picture, images in zip(pictures, together, strict=True):
        assert np.abs(_pixels(images) - _pixels(generate(pipeline, picture))).max() <= 1
    with pytest.raises(ValueError, match="prompts and seeds only"):
        generate_together(pipeline, [pictures[0], PictureSettings(prompt="a red t-shirt", steps=3)])


@pytest.mark.parametrize("photos", [1, 2])
def test_garments_shown_together_are_drawn_as_alone(photos: int, tmp_path: Path) -> None:
    """Each image shows its own garment, and nothing of those beside it."""
    random_base("tiny", tmp_path, seed=0)
    base = load_base(BaseSettings(base=str(tmp_path), precision="fp32"))
    chance = torch.Generator().manual_seed(1)
    for parameter in inject_encoder(base, "plus", 24):
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=chance)
    features = torch.randn((3, photos, 9, 24), generator=chance)
    shown = [GarmentPhotos(seen, torch.zeros(9, 24)) for seen in features]
    pictures = [PictureSettings(prompt="a dress", steps=2, seeds=[1, 2], batch=4) for _ in shown]
    drawn = generate_together(base.pipeline(), pictures, photos=shown)
    assert np.abs(_pixels(drawn[0]) - _pixels(drawn[1])).max() > 8
    for picture, photo, images in zip(pictures, shown, drawn, strict=True):
        alone = _pixels(generate(base.pipeline(), picture, photos=photo))
        assert np.abs(alone - _pixels(images)).max() <= 1


def test_size_count_and_order(pipeline: Any) -> None:
    picture = PictureSettings(prompt="a red t-shirt", steps=2, width=64, height=80, seeds=[1], images=3, batch=2)
    images = generate(pipeline, picture)
    assert [image.size for image in images] == [(64, 80)] * 3
    last = generate(pipeline, PictureSettings(prompt="a red t-shirt", steps=2, width=64, height=80, seeds=[3]))
    assert np.abs(_pixels(last)[0] - _pixels(images)[2]).max() <= 1


def test_the_default_size_is_the_bases_own(pipeline: Any) -> None:
    assert generate(pipeline, PictureSettings(prompt="a red t-shirt", steps=1))[0].size == (96, 96)


@pytest.mark.parametrize("scheduler", [None, "Heun"])
def test_progress_counts_to_its_end(pipeline: Any, scheduler: str | None) -> None:
    calls: list[tuple[int, int]] = []
    picture = PictureSettings(prompt="x", steps=3, seeds=[1], images=3, batch=2, scheduler=scheduler)
    generate(pipeline, picture, lambda done, total: calls.append((done, total)))
    assert [done for done, _ in calls] == list(range(1, len(calls) + 1))
    assert calls[-1][0] == calls[-1][1]


def test_the_pipelines_scheduler_is_put_back(pipeline: Any) -> None:
    before = pipeline.scheduler
    generate(pipeline, PictureSettings(prompt="x", steps=1, scheduler="DDIM"))
    assert pipeline.scheduler is before


def test_prompt_negative_prompt_and_guidance_are_heard(pipeline: Any) -> None:
    def draw(**changes: Any) -> np.ndarray:
        settings = {"prompt": "a red t-shirt", "steps": 2, **changes}
        return _pixels(generate(pipeline, PictureSettings(**settings)))

    plain = draw()
    for changes in ({"prompt": "a blue dress"}, {"negative_prompt": "blue"}, {"guidance": 9.0}):
        assert np.abs(draw(**changes) - plain).max() > 0, changes


def test_long_prompts_are_drawn_whole_and_alone_as_together(pipeline: Any) -> None:
    words = "a " * 75
    prompts = [words, words + "red t-shirt", words + "blue dress"]
    pictures = [PictureSettings(prompt=prompt, steps=2, seeds=[1], batch=3) for prompt in prompts]
    together = [_pixels(images)[0] for images in generate_together(pipeline, pictures)]
    assert all(np.abs(one - other).max() > 2 for one, other in itertools.pairwise(together))
    for picture, image in zip(pictures, together, strict=True):
        assert np.abs(_pixels(generate(pipeline, picture))[0] - image).max() <= 1
    plain = generate(pipeline, PictureSettings(prompt="a t-shirt", negative_prompt=words + "red", steps=2, seeds=[1]))
    assert np.abs(_pixels(plain)[0] - together[0]).max() > 2


def test_weights_are_heard_and_marks_are_not(pipeline: Any) -> None:
    def draw(prompt: str, negative: str = "") -> np.ndarray:
        return _pixels(
            generate(pipeline, PictureSettings(prompt=prompt, negative_prompt=negative, steps=2, seeds=[1]))
        )[0]

    plain = draw("a red t-shirt")
    assert (draw("a (red:1) t-shirt") == plain).all()
    assert np.abs(draw("a (red:1.6) t-shirt") - plain).max() > 0
    assert np.abs(draw("a red t-shirt", "(blue:1.6)") - draw("a red t-shirt", "blue")).max() > 0
    assert np.abs(draw(r"a \(red\) t-shirt") - plain).max() > 0  # its brackets are said
    pictures = [
        PictureSettings(prompt=p, steps=2, seeds=[1], batch=2) for p in ("a red t-shirt", "a (red:1.6) t-shirt")
    ]
    for picture, images in zip(pictures, generate_together(pipeline, pictures), strict=True):
        assert np.abs(_pixels(images)[0] - draw(picture.prompt)).max() <= 1

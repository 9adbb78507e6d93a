"""Inpainting on `tiny`, and on an inpainting base of its shape: exact outside, in any masked content, by seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.base.shapes import random_pipeline
from lapel.errors import UserError
from lapel.generation import Request
from lapel.generation.inpaint import InpaintSettings, inpaint
from lapel.generation.patch import soften
from lapel.photos.people.change import Wearer, change_of_clothes
from lapel.photos.people.looks import Worn
from lapel.photos.read import read_picture
from lapel.training.pretraining.inpainting import make_inpainting


@pytest.fixture(scope="module", params=["text to image", "inpainting"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """`tiny`, and a base of its shape with random weights whose UNet takes nine channels."""
    if request.param == "text to image":
        return load_base(BaseSettings(base="tiny", precision="fp32"))
    folder = tmp_path_factory.mktemp("inpainting")
    pipeline = random_pipeline("tiny", folder)
    pipeline.unet = make_inpainting(pipeline.unet)
    pipeline.save_pretrained(folder)
    return load_base(BaseSettings(base=str(folder), precision="fp32"))


@pytest.fixture
def photo() -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (150, 110, 3), np.uint8))


@pytest.fixture
def mask(photo: Image.Image) -> Image.Image:
    mask = Image.new("L", photo.size)
    mask.paste(255, (30, 40, 80, 100))
    return mask


REQUEST = Request(prompt="a photo of a red t-shirt", steps=2, seeds=[3, 4], batch=2)


@pytest.mark.parametrize("content", ["original", "fill", "noise", "nothing"])
def test_nothing_outside_the_mask_changes(base: Base, photo: Image.Image, mask: Image.Image, content: str) -> None:
    how = InpaintSettings(strength=0.5, masked_content=content, mask_feather=3, padding=10)  # type: ignore[arg-type]
    images = inpaint(base, base.pipeline("inpaint"), REQUEST, photo, mask, how)
    outside = soften(mask, 0, 3) == 0
    assert len(images) == 2
    for image in images:
        assert image.size == photo.size
        assert (np.asarray(image)[outside] == np.asarray(photo)[outside]).all()
        assert (np.asarray(image)[60:80, 45:65] != np.asarray(photo)[60:80, 45:65]).any()
    assert (np.asarray(images[0]) != np.asarray(images[1])).any()


def test_a_seed_alone_decides_an_image(photo: Image.Image, mask: Image.Image) -> None:
    base = load_base(BaseSettings(base="tiny", precision="fp32"))
    how = InpaintSettings(strength=0.5, masked_content="noise")
    together = inpaint(base, base.pipeline("inpaint"), REQUEST, photo, mask, how)
    alone = inpaint(
        base, base.pipeline("inpaint"), Request(prompt=REQUEST.prompt, steps=2, seeds=[4]), photo, mask, how
    )
    difference = np.abs(np.asarray(together[1], np.int16) - np.asarray(alone[0], np.int16))
    assert difference.max() <= 2  # rounding of another batch


def test_less_strength_keeps_more_of_what_was_there(mask: Image.Image) -> None:
    base = load_base(BaseSettings(base="tiny", precision="fp32"))
    photo, pipeline = Image.new("RGB", mask.size, (40, 80, 200)), base.pipeline("inpaint")
    request = Request(prompt="a photo of a red t-shirt, front view, at the beach", steps=10, seeds=[0])
    distances = []
    for strength in (0.2, 1.0):
        (image,) = inpaint(base, pipeline, request, photo, mask, InpaintSettings(strength=strength, mask_feather=0))
        inside = np.asarray(image, np.float32)[np.asarray(mask) > 0]
        distances.append(np.abs(inside - np.asarray(photo, np.float32)[np.asarray(mask) > 0]).mean())
    assert distances[0] < 0.5 * distances[1]


def test_what_cannot_be_drawn_is_refused(photo: Image.Image, mask: Image.Image) -> None:
    base = load_base(BaseSettings(base="tiny", precision="fp32"))
    pipeline = base.pipeline("inpaint")
    with pytest.raises(UserError, match="110 x 150"):
        inpaint(base, pipeline, REQUEST, photo, Image.new("L", (20, 20), 255), InpaintSettings())
    with pytest.raises(UserError, match="empty"):
        inpaint(base, pipeline, REQUEST, photo, Image.new("L", photo.size), InpaintSettings())
    with pytest.raises(UserError, match="leave none"):
        inpaint(base, pipeline, REQUEST, photo, mask, InpaintSettings(strength=0.1))
    with pytest.raises(UserError, match="strength is 0"):
        InpaintSettings(strength=0)


def test_the_whole_photo_is_seen_unless_only_the_mask_is(photo: Image.Image, mask: Image.Image, tmp_path: Path) -> None:
    base = load_base(BaseSettings(base="tiny", precision="fp32"))
    how = InpaintSettings(only_masked=False)
    (image,) = inpaint(base, base.pipeline("inpaint"), Request(prompt="a t-shirt", steps=1), photo, mask, how)
    assert image.size == photo.size


def test_real_people_stay_as_they_are_outside_of_the_mask(real_photos: Path) -> None:
    base = load_base(BaseSettings(base="tiny"))
    pipeline, request = base.pipeline("inpaint"), Request(prompt="a photo of a person wearing a red hoodie", steps=1)
    for path in sorted((real_photos / "persons").glob("*.jpg")):
        person = read_picture(path, "white").colour
        change = change_of_clothes(Wearer(person), Worn("hoodie"))
        how = InpaintSettings(mask_feather=6)
        (image,) = inpaint(base, pipeline, request, person, change.mask, how, kept=change.kept)
        untouched = soften(change.mask, 0, 6, change.kept) == 0
        assert 0.3 < untouched.mean() < 1
        assert (np.asarray(image)[untouched] == np.asarray(person)[untouched]).all()

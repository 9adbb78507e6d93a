"""Inpainting on `tiny`, and on an inpainting base of its shape: exact outside, in any masked content, by seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.base.shapes import random_pipeline
from lapel.errors import UserError
from lapel.generation import PictureSettings
from lapel.generation.inpaint import InpaintSettings, inpaint
from lapel.generation.patch import soften
from lapel.photos.people.change import Wearer, change_of_clothes
from lapel.photos.people.looks import Worn
from lapel.photos.read import read_picture
from lapel.training.pretraining.inpainting import make_inpainting


@pytest.fixture(scope="module")
def tiny() -> Base:
    return load_base(BaseSettings(base="tiny", precision="fp32"))


@pytest.fixture(scope="module", params=["text to image", "inpainting"])
def base(request: pytest.FixtureRequest, tiny: Base, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """`tiny`, and a base of its shape with random weights whose UNet takes nine channels."""
    if request.param == "text to image":
        return tiny
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


PICTURE = PictureSettings(prompt="a photo of a red t-shirt", steps=2, seeds=[3, 4], batch=2)


@pytest.mark.parametrize("content", ["original", "fill", "noise", "nothing"])
def test_nothing_outside_the_mask_changes(base: Base, photo: Image.Image, mask: Image.Image, content: str) -> None:
    how = InpaintSettings(strength=0.5, masked_content=content, mask_feather=3, padding=10)  # type: ignore[arg-type]
    images = inpaint(base, base.pipeline("inpaint"), PICTURE, photo, mask, how)
    outside = soften(mask, 0, 3) == 0
    assert len(images) == 2
    for image in images:
        assert image.size == photo.size
        assert (np.asarray(image)[outside] == np.asarray(photo)[outside]).all()
        assert (np.asarray(image)[60:80, 45:65] != np.asarray(photo)[60:80, 45:65]).any()
    assert (np.asarray(images[0]) != np.asarray(images[1])).any()


def scattered(size: tuple[int, int], rng: np.random.Generator, level: int) -> Image.Image:
    """A mask of a few rectangles, which may overlap and touch the edges."""
    mask = np.zeros(size[::-1], np.uint8)
    for _ in range(rng.integers(1, 4)):
        (left, right), (top, bottom) = (np.sort(rng.integers(0, side + 1, 2)) for side in size)
        mask[top : bottom + 1, left : right + 1] = level
    return Image.fromarray(mask)


@settings(max_examples=15, deadline=None)
@given(
    size=st.tuples(st.integers(20, 240), st.integers(20, 240)),
    seed=st.integers(0, 2**31),
    level=st.sampled_from([255, 255, 90]),
    keeps=st.booleans(),
    how=st.builds(
        InpaintSettings,
        masked_content=st.sampled_from(["original", "fill", "noise", "nothing"]),
        mask_grow=st.integers(-6, 6),
        mask_feather=st.integers(0, 12),
        only_masked=st.booleans(),
        padding=st.sampled_from([None, 0, 20, 200]),
    ),
)
def test_pixels_that_are_not_drawn_are_the_photos_in_any_photo(
    tiny: Base, size: tuple[int, int], seed: int, level: int, keeps: bool, how: InpaintSettings
) -> None:
    rng = np.random.default_rng(seed)
    photo = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8))
    mask, kept = scattered(size, rng, level), scattered(size, rng, level) if keeps else None
    alpha = how.alpha(mask, kept)
    assume(alpha.any())
    picture = PictureSettings(prompt="a photo of a red t-shirt", steps=1, guidance=1.0)
    (image,) = inpaint(tiny, tiny.pipeline("inpaint"), picture, photo, mask, how, kept=kept)
    same = (np.asarray(image) == np.asarray(photo)).all(axis=2)
    assert image.size == size
    assert same[alpha == 0].all()
    assert kept is None or same[np.asarray(kept) > 0].all()
    drawn = same[alpha > 200]
    assert not drawn.size or drawn.mean() < 0.5


def test_a_seed_alone_decides_an_image(tiny: Base, photo: Image.Image, mask: Image.Image) -> None:
    how = InpaintSettings(strength=0.5, masked_content="noise")
    together = inpaint(tiny, tiny.pipeline("inpaint"), PICTURE, photo, mask, how)
    alone = inpaint(
        tiny, tiny.pipeline("inpaint"), PictureSettings(prompt=PICTURE.prompt, steps=2, seeds=[4]), photo, mask, how
    )
    difference = np.abs(np.asarray(together[1], np.int16) - np.asarray(alone[0], np.int16))
    assert difference.max() <= 2  # rounding of another batch


def test_less_strength_keeps_more_of_what_was_there(tiny: Base, mask: Image.Image) -> None:
    photo, pipeline = Image.new("RGB", mask.size, (40, 80, 200)), tiny.pipeline("inpaint")
    picture = PictureSettings(prompt="a photo of a red t-shirt, front view, at the beach", steps=10, seeds=[0])
    distances = []
    for strength in (0.2, 1.0):
        (image,) = inpaint(tiny, pipeline, picture, photo, mask, InpaintSettings(strength=strength, mask_feather=0))
        inside = np.asarray(image, np.float32)[np.asarray(mask) > 0]
        distances.append(np.abs(inside - np.asarray(photo, np.float32)[np.asarray(mask) > 0]).mean())
    assert distances[0] < 0.5 * distances[1]


def test_what_cannot_be_drawn_is_refused(tiny: Base, photo: Image.Image, mask: Image.Image) -> None:
    pipeline = tiny.pipeline("inpaint")
    with pytest.raises(UserError, match="110 x 150"):
        inpaint(tiny, pipeline, PICTURE, photo, Image.new("L", (20, 20), 255), InpaintSettings())
    with pytest.raises(UserError, match="empty"):
        inpaint(tiny, pipeline, PICTURE, photo, Image.new("L", photo.size), InpaintSettings())
    with pytest.raises(UserError, match="leave none"):
        inpaint(tiny, pipeline, PICTURE, photo, mask, InpaintSettings(strength=0.1))
    with pytest.raises(UserError, match="strength is 0"):
        InpaintSettings(strength=0)


def test_the_whole_photo_is_seen_unless_only_the_mask_is(
    tiny: Base, photo: Image.Image, mask: Image.Image, tmp_path: Path
) -> None:
    how = InpaintSettings(only_masked=False)
    (image,) = inpaint(tiny, tiny.pipeline("inpaint"), PictureSettings(prompt="a t-shirt", steps=1), photo, mask, how)
    assert image.size == photo.size


def test_real_people_stay_as_they_are_outside_of_the_mask(real_photos: Path) -> None:
    base = load_base(BaseSettings(base="tiny"))
    pipeline, picture = (
        base.pipeline("inpaint"),
        PictureSettings(prompt="a photo of a person wearing a red hoodie", steps=1),
    )
    for path in sorted((real_photos / "persons").glob("*.jpg")):
        person = read_picture(path, "white").colour
        change = change_of_clothes(Wearer(person), Worn("hoodie"))
        how = InpaintSettings(mask_feather=6)
        (image,) = inpaint(base, pipeline, picture, person, change.mask, how, kept=change.kept)
        untouched = soften(change.mask, 0, 6, change.kept) == 0
        assert 0.3 < untouched.mean() < 1
        assert (np.asarray(image)[untouched] == np.asarray(person)[untouched]).all()

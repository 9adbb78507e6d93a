"""Plain backgrounds are told from garments, and from what is not plain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from lapel.photos.masks.plain import plain_background_mask
from lapel.photos.read import read_picture

SIDE = 300


def garment_shape() -> Image.Image:
    shape = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(shape)
    draw.polygon(
        [(90, 60), (210, 60), (270, 120), (235, 150), (210, 130), (210, 260), (90, 260), (90, 130), (40, 150)], 255
    )
    return shape


def backdrop(name: str) -> npt.NDArray[np.float64]:
    down, across = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    if name == "white":
        return np.full((SIDE, SIDE, 3), 255.0)
    if name == "lit grey":
        return (150 + 50 * down + 20 * across)[..., None] * np.array([1, 0.98, 0.95])
    noise = np.random.default_rng(0).normal(0, 4, (SIDE, SIDE, 3))
    return np.array([210.0, 190.0, 170.0]) + noise


def overlap(mask: Image.Image, truth: Image.Image) -> float:
    a, b = np.asarray(mask) > 127, np.asarray(truth) > 127
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("name", ["white", "lit grey", "noisy beige"])
@pytest.mark.parametrize("colour", [(180, 30, 40), (20, 20, 25), (60, 120, 200)])
def test_garment_on_a_plain_backdrop(name: str, colour: tuple[int, int, int]) -> None:
    pixels = backdrop(name).clip(0, 255).astype(np.uint8)
    photo = Image.composite(Image.new("RGB", (SIDE, SIDE), colour), Image.fromarray(pixels), garment_shape())
    mask = plain_background_mask(photo)
    assert mask is not None
    assert (mask.mode, mask.size) == ("L", photo.size)
    assert overlap(mask, garment_shape()) > 0.96


def test_vignette_is_plain() -> None:
    down, across = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    light = (200 - 45 * (down**2 + across**2))[..., None] * np.array([1, 1.01, 1.04])
    photo = Image.fromarray(light.clip(0, 255).astype(np.uint8))
    photo.paste((80, 90, 30), (0, 0), garment_shape())
    mask = plain_background_mask(photo)
    assert mask is not None
    assert overlap(mask, garment_shape()) > 0.96


def test_wall_with_a_floor_is_not_plain() -> None:
    photo = Image.new("RGB", (SIDE, SIDE), (205, 200, 215))
    photo.paste((120, 80, 60), (0, 200, SIDE, SIDE))
    photo.paste((200, 60, 30), (0, 0), garment_shape())
    assert plain_background_mask(photo) is None


def test_print_in_the_backdrops_colour_stays_in_the_mask() -> None:
    photo = Image.composite(
        Image.new("RGB", (SIDE, SIDE), (30, 60, 90)), Image.new("RGB", (SIDE, SIDE), "white"), garment_shape()
    )
    ImageDraw.Draw(photo).ellipse((120, 120, 180, 180), "white")
    mask = plain_background_mask(photo)
    assert mask is not None
    assert overlap(mask, garment_shape()) > 0.96


def test_garment_cut_by_the_lower_border() -> None:
    photo = Image.new("RGB", (SIDE, SIDE), "white")
    photo.paste((90, 40, 60), (80, 100, 220, SIDE))
    mask = plain_background_mask(photo)
    assert mask is not None
    assert np.asarray(mask)[150:, 100:200].min() == 255
    assert np.asarray(mask)[:80].max() == 0


def test_what_is_not_plain_is_left_alone() -> None:
    busy = np.random.default_rng(1).integers(0, 255, (20, 20, 3), dtype=np.uint8)
    assert plain_background_mask(Image.fromarray(busy).resize((SIDE, SIDE))) is None
    assert plain_background_mask(Image.new("RGB", (SIDE, SIDE), "white")) is None


def test_real_outdoor_photos_are_left_alone(real_photos: Path) -> None:
    for path in sorted((real_photos / "dreambooth" / "fancy_boot").glob("*.jpg")):
        assert plain_background_mask(read_picture(path, "white").colour) is None

"""The region found in an image against the wardrobe's exact masks."""

from __future__ import annotations

import numpy as np
import pytest

from lapel.fidelity import colour_difference, cut_out, dominant_colours, garment_region
from lapel.wardrobe import photograph, sample_garment, sample_shot


@pytest.mark.parametrize("view", ["front", "worn"])
def test_it_is_near_the_exact_mask_and_has_its_colours(view: str) -> None:
    overlaps, errors = [], []
    for number in range(16):
        garment = sample_garment(9000 + number, "held_out")
        photo = photograph(garment, sample_shot(number, garment, view), 96)
        exact = photo.mask >= 128
        region = garment_region(photo.image, garment.kind, view)
        overlaps.append((region & exact).sum() / (region | exact).sum())
        palettes = [dominant_colours([photo.image], [inside]) for inside in (region, exact)]
        errors.append(colour_difference(*palettes).mean)
    assert np.median(overlaps) > 0.85
    assert np.median(errors) < 1


def test_the_same_image_gives_the_same_region() -> None:
    garment = sample_garment(1)
    image = photograph(garment, sample_shot(1, garment, "worn"), 96).image
    first = garment_region(image, garment.kind, "worn")
    garment_region(np.zeros_like(image), "dress", "front")
    assert np.array_equal(garment_region(image, garment.kind, "worn"), first)


def test_an_image_without_anything_keeps_the_place_where_shops_show_a_garment() -> None:
    region = garment_region(np.full((60, 90, 3), 128, np.uint8), "t-shirt", "front")
    assert region.shape == (60, 90)
    assert region[30, 45]
    assert not region[0, 0]


def test_a_cut_out_is_centred_and_grey_around() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[10:30, 50:90] = (200, 10, 10)
    image[60:] = 255
    region = np.zeros((100, 100), bool)
    region[10:30, 50:90] = True
    alone = cut_out(image, region, 64)
    assert alone.shape == (64, 64, 3)
    red = np.argwhere((alone == (200, 10, 10)).all(axis=2))
    assert np.allclose(red.mean(axis=0), 31.5, atol=1)
    assert np.ptp(red[:, 1]) + 1 == round(0.86 * 64)
    assert (alone[0] == 128).all()

"""The region found in an image against the wardrobe's exact masks."""

from __future__ import annotations

import numpy as np
import pytest

from lapel.fidelity import colour_difference, dominant_colours, garment_region
from lapel.wardrobe import photograph, sample_garment, sample_shot


@pytest.mark.parametrize(("view", "most"), [("front", 1.0), ("worn", 7.0)])
def test_its_colour_is_the_garments(view: str, most: float) -> None:
    errors = []
    for number in range(40):
        garment = sample_garment(9000 + number, "held_out")
        photo = photograph(garment, sample_shot(number, garment, view), 96)
        found = dominant_colours([photo.image], [garment_region(photo.image)])
        errors.append(colour_difference(found, dominant_colours([photo.image], [photo.mask])).mean)
    assert np.median(errors) < most


def test_the_same_image_gives_the_same_region() -> None:
    garment = sample_garment(1)
    image = photograph(garment, sample_shot(1, garment, "worn"), 96).image
    first = garment_region(image)
    garment_region(np.zeros_like(image))
    assert np.array_equal(garment_region(image), first)


def test_an_image_without_anything_keeps_its_middle() -> None:
    region = garment_region(np.full((60, 90, 3), 128, np.uint8))
    assert region.shape == (60, 90)
    assert region[30, 45]
    assert not region[0, 0]

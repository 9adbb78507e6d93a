"""A garment's colours have the names that people give them, and codes measured from its pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import ImageColor

from lapel.photos.colour_names import NAMES, common_colours, named_colours
from lapel.photos.masks.colours import to_lab
from lapel.wardrobe import COLOURS, photograph, sample_garment, sample_shot


def pixels(*colours: tuple[int, int, int]) -> np.ndarray:
    return to_lab(np.array([colours], dtype=np.uint8))[0]


@pytest.mark.parametrize("name", COLOURS)
def test_the_wardrobes_names_are_found_again_in_any_light(name: str) -> None:
    assert NAMES[name] == COLOURS[name]
    garment = dataclasses.replace(sample_garment(3, "train"), pattern="plain", colours=(name,))
    seen = []
    for seed, scene in enumerate(("white studio", "grey studio", "beach")):
        photo = photograph(garment, sample_shot(seed, garment, "front", scene), 128)
        seen.append(named_colours(to_lab(photo.image)[photo.mask >= 128])[0].rsplit(" ", 2)[0])
    near = {"white": "light grey", "grey": "charcoal", "light blue": "blue", "beige": "tan", "yellow": "mustard"}
    near |= {"orange": "coral", "pink": "coral", "green": "dark green", "red": "coral", "brown": "khaki"}
    assert sum(word in (name, near.get(name)) for word in seen) >= 2, seen


def test_code_and_share_are_the_pixels_own() -> None:
    (navy, white) = named_colours(pixels(*[(20, 30, 90)] * 3, (250, 250, 250)))
    name, code, share = navy.rsplit(" ", 2)
    assert (name, share) == ("navy", "0.75")
    assert np.abs(np.array(ImageColor.getrgb(code)) - (20, 30, 90)).max() <= 1
    assert white.startswith("white #fafafa 0.25")
    assert named_colours(pixels((0, 0, 0))[:0]) == []


def test_colours_of_several_photos_are_averaged() -> None:
    photos = [
        ["navy #141e5a 0.80", "white #ffffff 0.20"],
        ["navy #161f5c 0.90"],
        ["red #ff0000 0.15", "navy #141e5a 0.7"],
    ]
    assert common_colours(photos) == ["navy #161f5c"]
    assert common_colours([]) == []

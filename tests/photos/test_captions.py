"""Captions name the garment once, and otherwise say what the shop said."""

from __future__ import annotations

import pytest

from lapel.photos.captions import class_word_of, compose, view_of


@pytest.mark.parametrize(
    ("stem", "view"),
    [
        ("tee_front", "front"),
        ("SKU12-Back", "back"),
        ("backpack-01", ""),
        ("teeSide2", "side"),
        ("dress closeup", "detail"),
        ("on_model_03", "worn"),
        ("IMG_2034", ""),
        ("mh01-gray_main", ""),
    ],
)
def test_view_from_the_name(stem: str, view: str) -> None:
    assert view_of(stem) == view


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("striped-tee", "t-shirt"),
        ("red T-Shirt", "t-shirt"),
        ("mt04-blue-pocket-tank", "tank top"),
        ("long-sleeve-shirt", "long sleeve shirt"),
        ("dress-shirt", "shirt"),
        ("shirt_dress", "dress"),
        ("fancy_boot", "boot"),
        ("hooded_sweatshirt", "hoodie"),
        ("sku-81231", None),
        ("pantsuitless", None),
    ],
)
def test_class_word_from_a_name(text: str, word: str | None) -> None:
    assert class_word_of(text) == word


@pytest.mark.parametrize(
    ("written", "view", "caption"),
    [
        (None, "", "a photo of ohwx t-shirt"),
        (None, "back", "a photo of ohwx t-shirt, back view"),
        (None, "worn", "a photo of a person wearing ohwx t-shirt"),
        ("a red T-Shirt on a table", "", "a red ohwx t-shirt on a table"),
        ("{garment} on\na hanger", "back", "ohwx t-shirt on a hanger"),
        ("ohwx t-shirt, seen from above", "", "ohwx t-shirt, seen from above"),
        ("red and white stripes", "", "a photo of ohwx t-shirt, red and white stripes"),
    ],
)
def test_captions(written: str | None, view: str, caption: str) -> None:
    assert compose(written, view, "ohwx", "t-shirt") == caption

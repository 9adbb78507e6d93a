"""Captions name the garment once, and otherwise say what the shop said."""

from __future__ import annotations

import pytest

from lapel.photos.captions import class_word_of, class_word_told, compose, filled, of_the_class, view_of
from lapel.photos.vocabulary import ATTRIBUTES, CATEGORIES, attributes_of


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
    assert compose(written, view, False, "ohwx", "t-shirt") == caption


@pytest.mark.parametrize(
    ("text", "name", "full"),
    [
        ("a photo of a {garment}, in a park", "orange dress", "a photo of an orange dress, in a park"),
        ("A {garment}, and an {garment}", "olive coat", "An olive coat, and an olive coat"),
        ("a person wearing a {garment}", "ohwx t-shirt", "a person wearing a ohwx t-shirt"),
        ("A {garment} on a hanger", "ohwx trousers", "ohwx trousers on a hanger"),
        ("{garment} of a ({garment}:1.2)", "apron", "apron of a (apron:1.2)"),
        ("banana {garment}", "overall", "banana overall"),
    ],
)
def test_an_article_before_a_garment_is_its_own(text: str, name: str, full: str) -> None:
    assert filled(text, name) == full


def test_a_name_may_always_have_its_article() -> None:
    assert filled("a {garment} and {garment}", "apron", articled=True) == "an apron and an apron"
    assert filled("wearing {garment}", "trousers", articled=True) == "wearing trousers"


def test_a_wearer_is_written_beside_the_view() -> None:
    assert compose(None, "back", True, "ohwx", "t-shirt") == "a photo of a person wearing ohwx t-shirt, back view"
    assert compose(None, "detail", True, "ohwx", "t-shirt") == "a close-up photo of a person wearing ohwx t-shirt"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mh05-white-navy-raglan-hoodie", {"sleeves": "raglan", "collar": "hood"}),
        ("WH07 colourblock half-zip", {"pattern": "colour block", "closure": "half zip"}),
        (
            "Slim-fit V-neck ribbed longsleeve",
            {"fit": "slim", "neckline": "v neck", "texture": "ribbed", "sleeves": "long sleeve"},
        ),
        ("sku-1234", {}),
    ],
)
def test_attributes_in_shops_words(text: str, found: dict[str, str]) -> None:
    assert attributes_of(text) == found


def test_a_synonym_means_one_value() -> None:
    for attribute, values in {"category": CATEGORIES, **ATTRIBUTES}.items():
        names = [name for value, synonyms in values.items() for name in (value, *synonyms)]
        assert len(names) == len(set(names)), attribute


@pytest.mark.parametrize(
    ("caption", "plain"),
    [
        ("a photo of ohwx t-shirt, front view", "a photo of a t-shirt, front view"),
        ("a photo of a ohwx t-shirt at the beach", "a photo of a t-shirt at the beach"),
        ("ohwx t-shirt", "a t-shirt"),
        ("A ohwx t-shirt on a chair", "A t-shirt on a chair"),
        ("a photo of a red ohwx t-shirt on a bed", "a photo of a red t-shirt on a bed"),
        ("the ohwx t-shirt", "the t-shirt"),
        ("at the beach, ohwx t-shirt", "at the beach, a t-shirt"),
        ("a red thing called ohwx, on wood", "a red thing called t-shirt, on wood"),
        ("a photo of the sea", "a photo of the sea"),
    ],
)
def test_a_caption_stands_for_the_class_without_its_trigger(caption: str, plain: str) -> None:
    assert of_the_class(caption, "ohwx", "t-shirt") == plain


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("hoodie, long sleeve", "hoodie"),
        ("long sleeve, hoodie", "hoodie"),
        ("short sleeve t-shirt", "t-shirt"),
        ("long sleeve", "long sleeve shirt"),
        ("t-shirt, short sleeve, cropped", "t-shirt"),
        ("red", None),
    ],
)
def test_sleeves_beside_a_garment_are_no_garment(words: str, told: str | None) -> None:
    assert class_word_told(words) == told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "t-shirt"),
        ("long sleeve", "t-shirt"),
        ("cropped, sleeveless", "t-shirt"),
        ("long sleeve dress", "dress"),
        ("capri pants", "capri pants"),
        ("red, knee length skirt", "skirt"),
    ],
)
def test_a_card_tells_the_garment_where_words_tell_its_shape_alone(words: str, told: str) -> None:
    assert class_word_told(words, "t-shirt") == told

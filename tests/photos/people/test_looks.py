"""Words of shape and texture become clothes, and what was guessed is told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lapel.errors import UserError
from lapel.photos.people.looks import Looks, Worn, read_looks
from lapel.photos.understand import SPELT


def worn(looks: Looks) -> dict[str, tuple[str, dict[str, str]]]:
    return {part: (one.class_word, one.attributes) for part, one in looks.worn.items()}


def test_the_words_of_the_paper() -> None:
    looks = read_looks("long sleeves, short skirt, open outer", "plaid")
    assert worn(looks) == {
        "upper": ("long sleeve shirt", {"sleeves": "long sleeve"}),
        "lower": ("skirt", {"length": "mini"}),
        "outer": ("jacket", {}),
    }
    assert looks.opened and not looks.guesses
    assert looks.named() == "a plaid long sleeve shirt, a skirt and a jacket"
    clothes = looks.clothes()
    assert clothes.upper and clothes.lower and clothes.outer
    assert (clothes.upper.sleeve, clothes.lower.kind, clothes.lower.length) == ("long", "skirt", "short")
    assert clothes.outer.kind == "jacket" and clothes.opened


@pytest.mark.parametrize(
    ("shape", "parts"),
    [
        ("sleeveless dress, knee length", {"dress": ("dress", {"sleeves": "sleeveless", "length": "knee length"})}),
        ("tees and bermuda shorts", {"upper": ("t-shirt", {}), "lower": ("shorts", {"length": "knee length"})}),
        ("open coat over a midi dress", {"outer": ("coat", {}), "dress": ("dress", {"length": "midi"})}),
        ("long sleeves, maxi, dress", {"dress": ("dress", {"sleeves": "long sleeve", "length": "maxi"})}),
        ("half sleeve", {"upper": ("t-shirt", {"sleeves": "short sleeve"})}),
        ("jumpsuit", {"upper": ("jumpsuit", {}), "lower": ("jumpsuit", {})}),
    ],
)
def test_garments_by_their_place(shape: str, parts: dict[str, tuple[str, dict[str, str]]]) -> None:
    assert worn(read_looks(shape)) == parts


def test_textures_are_bound_to_their_garments() -> None:
    looks = read_looks("hoodie, skirt", "navy tartan, denim skirt")
    assert looks.named() == "a navy plaid hoodie and a denim skirt"
    assert read_looks("", "red striped dress").named() == "a red striped dress"
    assert read_looks("jumpsuit").named() == "a jumpsuit"
    assert read_looks("floral skirt").named() == "a floral skirt"


def test_what_is_misspelt_is_guessed_and_told() -> None:
    looks = read_looks("sleevless hoodei", "tartn")
    assert worn(looks) == {"upper": ("hoodie", {"sleeves": "sleeveless"})}
    assert looks.worn["upper"].texture == ["plaid"]
    assert looks.guesses == ['"sleevless" as sleeveless', '"hoodei" as hoodie', '"tartn" as plaid']
    assert '"tartn" as plaid' in looks.told()


def test_a_tower_finds_what_spelling_does_not() -> None:
    def embed(texts: Sequence[str]) -> np.ndarray:
        near = {"kilt": 0, "skirt": 0}  # all other words point another way
        return np.eye(2, dtype=np.float32)[[near.get(text, 1) for text in texts]]

    assert SPELT > 0.75
    looks = read_looks("kilt", embed=embed)
    assert worn(looks) == {"lower": ("skirt", {})}
    assert looks.guesses == ['"kilt" as skirt (the nearest to the text encoder)']
    with pytest.raises(UserError, match='"kilt" is not understood; the nearest words are'):
        read_looks("kilt")


def test_every_phrase_that_means_nothing_is_told() -> None:
    with pytest.raises(UserError) as refused:
        read_looks("sandals, xyzzy", "hoodie")
    assert len(refused.value.lines) == 3
    assert [line.split(":")[0] for line in refused.value.lines] == ["sandals", "xyzzy", "hoodie"]


@pytest.mark.parametrize("word", ["button shirt", "dress", "hoodie"])
@pytest.mark.parametrize("sleeves", ["", "sleeveless", "short sleeve", "long sleeve"])
@pytest.mark.parametrize("length", ["", "cropped"])
def test_a_garments_cut_is_understood_as_it_is_said(word: str, sleeves: str, length: str) -> None:
    told = {name: value for name, value in (("sleeves", sleeves), ("length", length)) if value}
    looks = read_looks(Worn(word, {**told, "pattern": "plaid"}).cut())
    assert list(looks.worn.values()) == [Worn(word, told)]
    assert not looks.guesses


@pytest.mark.parametrize(
    ("words", "tucked"),
    [("trousers", True), ("shorts, open jacket", True), ("t-shirt, trousers", False), ("open jacket", False)],
)
def test_a_top_that_nobody_told_hides_no_waist(words: str, tucked: bool) -> None:
    clothes = read_looks(words).clothes()
    assert clothes.tucked == tucked
    assert clothes.lower is not None and (clothes.from_below()[0] == clothes.upper) == tucked

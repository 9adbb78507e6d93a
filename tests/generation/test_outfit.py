"""What a garment's card tells of its shape, and what a user's words make of it."""

from pathlib import Path
from typing import Any

import pytest

from lapel.base.settings import BaseSettings
from lapel.generation import Outfit, WearSettings

CARD: dict[str, Any] = {"class_word": "button shirt", "attributes": {"sleeves": "short sleeve", "pattern": "plaid"}}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", CARD["attributes"]),
        ("long sleeve", {"sleeves": "long sleeve", "pattern": "plaid"}),
        ("button shirt, cropped", {**CARD["attributes"], "length": "cropped", "closure": "buttons"}),
        ("dress, maxi", {"length": "maxi"}),
        ("long sleeve dress", {"sleeves": "long sleeve"}),
        ("capri pants", {"length": "cropped"}),
    ],
)
def test_words_come_before_the_card_which_tells_of_its_own_garment_alone(words: str, told: dict[str, str]) -> None:
    outfit = Outfit(WearSettings(base="tiny"), (Path("a"),), (CARD,), (), BaseSettings())
    assert outfit.attributes(words) == told


@pytest.mark.parametrize(
    "told", [["short sleeve"], "short", 3, {"sleeves": ["short"]}, {"sleeves": "long", "SKU": "7"}]
)
def test_what_is_no_attribute_is_left_out(told: object) -> None:
    outfit = Outfit(WearSettings(base="tiny"), (Path("a"),), ({"attributes": told},), (), BaseSettings())
    assert outfit.attributes("") == {}


def test_a_card_that_tells_nothing_adds_nothing() -> None:
    outfit = Outfit(WearSettings(base="tiny"), (Path("a"),), ({},), (), BaseSettings())
    assert outfit.attributes("hoodie, long sleeve")["sleeves"] == "long sleeve"

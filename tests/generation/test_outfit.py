"""What a garment's card tells of its shape, and what a user's words make of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lapel.base.settings import BaseSettings
from lapel.generation import Outfit, WearSettings, read_outfit

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


@pytest.mark.parametrize("carded", [True, False])
def test_a_base_is_loaded_as_the_adapter_was_made_on_it(tmp_path: Path, carded: bool) -> None:
    file = tmp_path / "tee.safetensors"
    header = {"ss_sd_model_name": "tiny", "modelspec.prediction_type": "v", "ss_zero_terminal_snr": "True"}
    save_file({"lora_unet_a.lora_down.weight": torch.zeros(1)}, file, header)
    card = {"name": "tee", "trigger": "ohwx", "class_word": "tee", "base": "tiny", "base_hash": "0", "family": "sd15"}
    card |= {"prediction_type": "v_prediction", "zero_terminal_snr": True, "settings": {"revision": "old", "steps": 9}}
    if carded:
        (tmp_path / "card.json").write_text(json.dumps(card))

    def base(**given: Any) -> tuple[object, ...]:
        told = read_outfit(WearSettings(adapter=[file], **given)).base
        return told.prediction_type, told.zero_terminal_snr, told.revision

    revision = "old" if carded else None
    assert base() == base(base="tiny") == ("v_prediction", True, revision)
    assert base(prediction_type="epsilon", revision="new") == ("epsilon", True, "new")
    assert base(base="tiny-inpainting") == (None, None, None)

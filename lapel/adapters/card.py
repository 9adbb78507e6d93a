"""What the card of an adapter, a garment encoder or a fine-tuned checkpoint tells to whoever wears it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lapel.adapters.kinds import DIFFUSERS_FILE, layout_of, stated_family
from lapel.base.find import encoder_file
from lapel.base.weights import read_header
from lapel.errors import UserError

Card = dict[str, Any]

CARD = "card.json"
KOHYA_SUFFIX = ".safetensors"

REQUIRED = ("name", "trigger", "class_word", "base", "base_hash", "family")
"""What a program needs to wear the adapter; of the rest, some helps, and most is for people."""


def weight_of(card: Mapping[str, Any]) -> float:
    """The weight to wear the adapter with: what the run found best (`weight` on the card), otherwise 1."""
    weight = card.get("weight")
    return float(weight) if isinstance(weight, int | float) and not isinstance(weight, bool) else 1.0


def is_checkpoint(card: Mapping[str, Any]) -> bool:
    """Whether what was made is a whole base, rather than something to wear on one."""
    return card.get("kind") == "dreambooth"


def has_word(card: Mapping[str, Any]) -> bool:
    """Whether the trigger is the word of a textual inversion, without whose file it means nothing."""
    return card.get("trigger") in (card.get("embeddings") or {})


def read_card(adapter: Path) -> dict[str, Any]:
    """What is known of an adapter file: the `card.json` beside it, otherwise the file's own metadata.

    From metadata come, where they are there, `name`, `trigger`, `base`, `base_hash`, `family`, `clip_skip`,
    `prediction_type` and `zero_terminal_snr`, out of the `ss_` fields (kohya) and `modelspec.` fields (Stability's
    model specification); `class_word` is then empty.

    Raises:
        UserError: no such file, or no safetensors file of an adapter.
    """
    header = _read_header(adapter)
    card = _card_beside(adapter)
    if card is not None:
        return card
    metadata = header.get("__metadata__", {})
    known = {
        "name": metadata.get("ss_output_name") or adapter.stem,
        "trigger": metadata.get("modelspec.trigger_phrase"),
        "class_word": "",
        "base": metadata.get("ss_sd_model_name"),
        "base_hash": metadata.get("ss_new_sd_model_hash"),
        "family": stated_family(metadata),
        "clip_skip": int(skip) if (skip := metadata.get("ss_clip_skip", "")).isdigit() else None,
        **_predictions(metadata),
    }
    return {key: value for key, value in known.items() if value is not None}


def _predictions(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What a header tells of the base's predictions and of its schedule's end; None where it tells nothing."""
    predicted = {"v": "v_prediction", "epsilon": "epsilon"}.get(metadata.get("modelspec.prediction_type", ""))
    ends_in_noise = {"True": True, "False": False}.get(metadata.get("ss_zero_terminal_snr", ""))
    return {"prediction_type": predicted, "zero_terminal_snr": ends_in_noise}


def _card_beside(adapter: Path) -> dict[str, Any] | None:
    """The card in the file's folder, if it is this adapter's and not a neighbour's."""
    card = _card_in(adapter.parent)
    ours = card is not None and adapter.name in (f"{card['name']}.safetensors", DIFFUSERS_FILE)
    return card if ours else None


def _card_in(folder: Path) -> dict[str, Any] | None:
    """The card in a folder, where there is one."""
    path = folder / CARD
    if not path.is_file():
        return None
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not a card: {error}") from error
    if not isinstance(card, dict) or any(not isinstance(card.get(key), str) for key in REQUIRED):
        raise UserError(f"{path} is not a card: it lacks one of {', '.join(REQUIRED)}")
    return card


def read_base_card(base: str) -> dict[str, Any]:
    """What is known of a checkpoint that a fine-tuning made: the card beside the file or folder; {} of any other base.

    Raises:
        UserError: the card beside it is none.
    """
    path = Path(base)
    card = _card_in(path.parent) if path.exists() else None
    ours = card is not None and is_checkpoint(card) and path.name in map(str, card.get("files", []))
    return card if card is not None and ours else {}


def word_file(card: Mapping[str, Any], folder: Path) -> Path | None:
    """The file of the trigger, where it was learned as a word and lies beside what was made."""
    file = folder / f"{card.get('trigger')}.safetensors"
    return file if has_word(card) and file.is_file() else None


def _read_header(adapter: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file that holds an adapter's layers; nothing else of the file is read."""
    if not adapter.is_file():
        raise UserError(f"{adapter}: no such file; give an adapter's .safetensors file")
    header = read_header(adapter)
    if layout_of(header) is None:
        raise UserError(f"{adapter}: not an adapter (it holds no LoRA layers)")
    return header


def read_encoder_facts(path: Path) -> dict[str, Any]:
    """What an encoder's header tells of the base that it was made on, by a card's names; nothing for a released one.

    Raises:
        UserError: no such file, or not a sound one.
    """
    path = encoder_file(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give --encoder a .safetensors or .bin file")
    metadata = read_header(path).get("__metadata__", {}) if path.suffix == ".safetensors" else {}
    known = {
        "name": path.stem,
        "base": metadata.get("ss_sd_model_name"),
        "base_hash": metadata.get("ss_new_sd_model_hash"),
        "family": metadata.get("lapel_family"),
        "vae": metadata.get("ss_vae_name"),
        **_predictions(metadata),
    }
    return {key: value for key, value in known.items() if value is not None}

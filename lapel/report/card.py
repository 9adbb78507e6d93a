"""What an adapter is and was made from, for programs (`card.json`) and for hubs (`README.md`)."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lapel import __version__
from lapel.adapters.kinds import layout_of, stated_family
from lapel.base.weights import read_header
from lapel.errors import UserError
from lapel.files import written_whole
from lapel.report.embed import environment, in_words
from lapel.report.loading import DIFFUSERS_FILE, example_prompt, has_word, is_checkpoint, ways_to_load, weight_of
from lapel.report.samples import last_images
from lapel.report.scores import score_table

CARD = "card.json"

HUB_LICENCES = {
    *("apache-2.0", "mit", "bsd-3-clause", "openrail", "creativeml-openrail-m", "openrail++", "bigscience-openrail-m"),
    *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "gpl-3.0", "agpl-3.0", "unlicense"),
}
"""Of those that the Hugging Face hub knows by name, the ones that bases have."""

REQUIRED = ("name", "trigger", "class_word", "base", "base_hash", "family")
"""What a program needs to wear the adapter; everything else on the card is for people."""


def write_card(run_folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write `card.json` and `README.md` into the run folder, and return the card.

    `facts` holds at least `REQUIRED`; known beside them are `base_licence`, `clip_skip`, `vae`, `views`, `settings`,
    `steps`, `kept_step`, `weight` (to wear it with), `scores` (see `lapel.report.scores`), `plan`, `seconds` (by phase)
    and `files`. Whatever can be said in JSON is kept, paths as text. Samples of the kept step are shown on the hub.

    Raises:
        ValueError: a required fact is missing.
    """
    missing = [key for key in REQUIRED if key not in facts]
    if missing:
        raise ValueError(f"the card lacks {', '.join(missing)}")
    text = json.dumps(facts, indent=2, ensure_ascii=False, default=str)
    card: dict[str, Any] = json.loads(text)
    with written_whole(run_folder / CARD) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")
    with written_whole(run_folder / "README.md") as unfinished:
        unfinished.write_text(_model_card(run_folder, card), encoding="utf-8")
    return card


def _model_card(run_folder: Path, card: dict[str, Any]) -> str:
    made = environment(escaped=False)
    made.filters |= {"json": lambda value: json.dumps(value, ensure_ascii=False), "cell": _in_cell}
    kept = card.get("kept_step")
    images = last_images(run_folder / "samples", kept)
    return made.get_template("README.md.jinja").render(
        card=defaultdict(lambda: None, card),
        prompt=example_prompt(card),
        weight=weight_of(card),
        checkpoint=is_checkpoint(card),
        hub_base=hub_id(str(card["base"])),
        licence=_hub_licence(card.get("base_licence")),
        images=[(prompt or example_prompt(card), path.relative_to(run_folder).as_posix()) for prompt, path in images],
        scores=score_table(card),
        loading=ways_to_load(card),
        version=__version__,
    )


def _in_cell(value: Any) -> str:
    """Text for a cell of a Markdown table, in which nothing has a meaning to Markdown or HTML."""
    text = " ".join(in_words(value).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text)


def _hub_licence(licence: str | None) -> tuple[str, str] | None:
    """The front matter's `license` and `license_name` (the latter for what hubs have no word of their own for)."""
    if not licence:
        return None
    known = licence.lower() in HUB_LICENCES
    name = re.sub(r"[^a-z0-9.+]+", "-", licence.lower()).strip("-")
    return (licence.lower(), "") if known else ("other", name)


def hub_id(base: str) -> str | None:
    """A base as hubs link to it, "owner/name"; a path on somebody's disk would be a dead link."""
    is_path = (
        Path(base).exists() or Path(base).suffix in (".safetensors", ".ckpt", ".pt") or base.startswith((".", "/"))
    )
    return base if base.count("/") == 1 and not is_path else None


def read_card(adapter: Path) -> dict[str, Any]:
    """What is known of an adapter file: the `card.json` beside it, otherwise the file's own metadata.

    From metadata come, where they are there, `name`, `trigger`, `base`, `base_hash`, `family` and `clip_skip`, out of
    the `ss_` fields (kohya) and `modelspec.` fields (Stability's model specification); `class_word` is then empty.

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
    }
    return {key: value for key, value in known.items() if value is not None}


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

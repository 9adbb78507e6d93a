"""What an adapter is and was made from, for programs (`card.json`) and for hubs (`README.md`)."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lapel import __version__
from lapel.adapters.card import CARD, REQUIRED, is_checkpoint, weight_of
from lapel.base.find import SHIPPED
from lapel.files import written_whole
from lapel.report.embed import environment, in_words
from lapel.report.loading import example_prompt, ways_to_load
from lapel.report.samples import last_images
from lapel.report.scores import score_table

HUB_LICENCES = {
    *("apache-2.0", "mit", "bsd-3-clause", "openrail", "creativeml-openrail-m", "openrail++", "bigscience-openrail-m"),
    *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "gpl-3.0", "agpl-3.0", "unlicense"),
}
"""Of those that the Hugging Face hub knows by name, the ones that bases have."""


def write_card(run_folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write `card.json` and `README.md` into the run folder, and return the card.

    `facts` holds at least `REQUIRED`; known beside them are `attributes`, `base_licence`, `clip_skip`, `vae`, `views`,
    `settings`, `steps`, `kept_step`, `weight` (to wear it with), `scores` (see `lapel.report.scores`), `plan`,
    `seconds` (by phase) and `files`. Whatever can be said in JSON is kept, paths as text. Samples of the kept step are
    shown on the hub.

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
    made.filters |= {"json": lambda value: json.dumps(value, ensure_ascii=False), "cell": _in_cell, "fenced": _fenced}
    kept = card.get("kept_step")
    images = last_images(run_folder / "samples", kept)
    return made.get_template("README.md.jinja").render(
        card=defaultdict(lambda: None, card),
        prompt=example_prompt(card),
        weight=weight_of(card),
        checkpoint=is_checkpoint(card),
        on_tiny=card["base"] in SHIPPED,
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


def _fenced(text: str) -> str:
    """A code block of Markdown, by a fence that is longer than any in the text."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


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
    return base if re.fullmatch(r"[\w.-]+/[\w.-]+", base) and not is_path else None

"""What a garment encoder is and was made from, for programs (`card.json`) and for hubs (`README.md`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lapel.adapters.card import CARD
from lapel.files import written_whole
from lapel.report.card import hub_id
from lapel.report.embed import environment
from lapel.report.loading import pipeline_lines


def write_encoder_card(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write `card.json` and `README.md` beside an encoder's files, and return the card.

    Args:
        facts: as `lapel.training.encoder_facts.card_facts` gives them; `scores` may be among them.
    """
    text = json.dumps(facts, indent=2, ensure_ascii=False, default=str)
    card: dict[str, Any] = json.loads(text)
    with written_whole(folder / CARD) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")
    with written_whole(folder / "README.md") as unfinished:
        unfinished.write_text(_model_card(card), encoding="utf-8")
    return card


def _model_card(card: dict[str, Any]) -> str:
    template = environment(escaped=False).get_template("encoder.md.jinja")
    return template.render(card=card, hub_base=hub_id(str(card["base"])), words=_diffusers_words(card))


def _diffusers_words(card: Mapping[str, Any]) -> str:
    """The lines that wear the encoder in diffusers."""
    file = f"{card['name']}.safetensors"
    lines = pipeline_lines(card)
    lines += [
        "from diffusers.utils import load_image",
        "from transformers import CLIPVisionModelWithProjection",
        "",
        f"pipeline.image_encoder = CLIPVisionModelWithProjection.from_pretrained({_tower_words(card)})",
        f'pipeline.load_ip_adapter(".", subfolder="", weight_name={file!r}, image_encoder_folder=None)',
        'photo = load_image("photo.png")  # the garment alone on white, as a square',
        f"image = pipeline({example(card)!r}, ip_adapter_image=photo).images[0]",
    ]
    return "\n".join(lines)


def _tower_words(card: Mapping[str, Any]) -> str:
    return 'TINY_FOLDER / "image_encoder"' if card["image_tower"] == "tiny" else repr(card["image_tower"])


def example(card: Mapping[str, Any]) -> str:
    """A prompt that leaves the garment's looks to its photo."""
    words = card.get("class_words") or ["t-shirt"]
    from lapel.wardrobe import with_article

    return f"a photo of a person wearing {with_article(words[-1])}, at the beach"

"""What the licences of models say that others have made; it is printed when one is loaded. Imports nothing heavy."""

from __future__ import annotations

import sys
from pathlib import Path


def stated_licence(place: str) -> str:
    """What a model's card says, by its folder's README.md or the hub's; "not stated" where it says nothing."""
    from huggingface_hub import ModelCard

    card = Path(place) / "README.md"
    if Path(place).is_dir() and not card.is_file():
        return "not stated"
    try:
        stated = ModelCard.load(card if card.is_file() else place).data.to_dict().get("license")
    except Exception:  # no card, no network, no YAML: nothing is stated
        stated = None
    return str(stated or "not stated")


def tell_licence(model: str, licence: str) -> None:
    """Print it, where messages go."""
    print(f"{model}: licence {licence}", file=sys.stderr)

"""What the name of a CLIP-like tower means, without loading or downloading anything. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

from lapel.base.find import TINY_FOLDER, place_of
from lapel.errors import UserError

TOWERS = "`tiny`, a hub id (name/model, or open_clip's as hf-hub:name/model), or the folder of a model or base"
"""What a flag that names a tower takes."""

_HUB = "hf-hub:"
_OPEN_CLIP = "open_clip_config.json"
_SIGNS = (_OPEN_CLIP, "config.json", "image_encoder")


def check_tower(name: str | None, flag: str) -> None:
    """What can be said against a tower at once; raises as `tower_place` does."""
    if name is not None:
        tower_place(name, flag)


def tower_place(name: str, flag: str) -> Path | str:
    """The folder of a tower's model, or of the base that it belongs to; or the hub id as it is.

    Args:
        flag: where the name was given.

    Raises:
        UserError: the name is neither shaped like a hub id nor that of a folder that holds a model.
    """
    if name == "tiny":
        return TINY_FOLDER
    if name.startswith(_HUB):
        return name
    place = place_of(name, flag, TOWERS)
    if isinstance(place, Path) and not any((place / sign).exists() for sign in _SIGNS):
        raise UserError(f"{name}: holds no image tower (none of {', '.join(_SIGNS)}); {flag} takes {TOWERS}")
    return place


def open_clip_source(place: Path | str) -> str | None:
    """What open_clip loads the model at a `tower_place` by; None where that is not open_clip's."""
    if isinstance(place, str):
        return place if place.startswith(_HUB) else None
    return f"local-dir:{place}" if (place / _OPEN_CLIP).is_file() else None

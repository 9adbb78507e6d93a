"""Where a base lies: shipped, in a folder, in one file, or on the Hugging Face hub. Imports nothing heavy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from lapel.base.embeddings import check_embeddings
from lapel.base.families import FAMILIES, INPAINTING_CHANNELS, Family, family_of
from lapel.base.settings import BaseSettings
from lapel.base.single_file import SUFFIXES, open_single_file
from lapel.base.weights import PICKLES
from lapel.errors import UserError

TINY_FOLDER = Path(__file__).parent / "tiny"
"""The base that lapel ships: a diffusers folder, with an image tower and a garment encoder beside the usual parts."""

TINY_ENCODER = TINY_FOLDER / "ip-adapter-plus_tiny_sd15.safetensors"
"""The garment encoder that lapel ships for it, which is `tiny` by name as well."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_KNOWN = "; lapel adapts " + ", ".join(family.title for family in FAMILIES.values())


def check_base(settings: BaseSettings, inpainting: bool = False) -> None:
    """What can be said against a base at once, without loading or downloading anything.

    Args:
        inpainting: whether an inpainting base will do.

    Raises:
        UserError: files or folders that are missing, of an unknown kind, or truncated.
    """
    place = base_place(settings)
    check_embeddings(settings.embedding)
    if settings.vae is not None:
        place_of(settings.vae, "--vae")
    if isinstance(place, str):
        return
    if place.is_dir():
        folder_family(place, settings.base, inpainting)
    elif place.suffix not in PICKLES:  # to look into one takes torch
        require_kind(settings.base, open_single_file(place).inpainting, inpainting)


def base_place(settings: BaseSettings) -> Path | str:
    """The folder or file of a base, or the hub id as it is.

    Raises:
        UserError: the name is neither of a file or folder that exists nor shaped like a hub id.
    """
    return TINY_FOLDER if settings.base == "tiny" else place_of(settings.base, "--base")


def encoder_file(given: Path) -> Path:
    """The file of a garment encoder: the shipped one for `tiny`, and otherwise what was given."""
    return TINY_ENCODER if given == Path("tiny") else given


def place_of(name: str, flag: str) -> Path | str:
    """The folder or file that a name means, or the hub id as it is; `flag` is where the name was given.

    Raises:
        UserError: the name is neither of a file or folder that exists nor shaped like a hub id.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    if path.suffix in SUFFIXES or path.is_absolute():
        raise UserError(f"{name}: no such file or folder; give {flag} a path that exists")
    if not _HUB_ID.fullmatch(name) or name.startswith("."):
        hint = "a hub id (name/model), a diffusers folder or a .safetensors or .ckpt file"
        tiny = "`tiny`, " if flag == "--base" else ""
        raise UserError(f"{name}: no such file or folder, and not a hub id; {flag} takes {tiny}{hint}")
    return name


def folder_family(folder: Path, name: str, inpainting: bool = False) -> Family:
    """The family of a diffusers folder, by its configuration files.

    Args:
        name: as the user gave it.
        inpainting: whether an inpainting base will do.

    Raises:
        UserError: not a diffusers folder, or of another kind of model.
    """
    config = _read_json(folder / "unet" / "config.json")
    if not (folder / "model_index.json").is_file():
        raise UserError(
            f"{name}: not a diffusers folder (no model_index.json); --base takes one, or a .safetensors or .ckpt file"
        )
    family = family_of(config) if config else None
    if family is None:
        raise UserError(f"{name}: not a base of a known family{_KNOWN} (no refiners, no other models)")
    require_kind(name, config.get("in_channels") == INPAINTING_CHANNELS, inpainting)
    return family


def require_kind(name: str, is_inpainting: bool, inpainting: bool) -> None:
    """Turn away an inpainting base where an ordinary one is needed.

    Raises:
        UserError: an inpainting base, and `inpainting` is false.
    """
    if is_inpainting and not inpainting:
        raise UserError(
            f"{name}: an inpainting base, whose UNet needs a mask and the picture around it; give the ordinary base "
            "(what is learned on that one fits this one too)"
        )


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not valid JSON; download it again")
    return content

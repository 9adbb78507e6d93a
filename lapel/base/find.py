"""Where a base lies: shipped, in a folder, in one file, or on the Hugging Face hub. Imports nothing heavy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from lapel.base.embeddings import check_embeddings
from lapel.base.families import FAMILIES, Family, family_of
from lapel.base.settings import BaseSettings
from lapel.base.single_file import SUFFIXES, open_single_file
from lapel.base.weights import PICKLES
from lapel.errors import UserError

TINY_FOLDER = Path(__file__).parent / "tiny"
"""The base that lapel ships: a diffusers folder, with an image tower and a garment encoder beside the usual parts."""

TINY_INPAINTING = TINY_FOLDER / "inpainting"
"""Its inpainting variant: a UNet; the other parts are `tiny`'s own."""

SHIPPED = {"tiny": TINY_FOLDER, "tiny-inpainting": TINY_INPAINTING}
"""Bases by names of their own."""

TINY_ENCODER = TINY_FOLDER / "ip-adapter-plus_tiny_sd15.safetensors"
"""The garment encoder that lapel ships for it, which is `tiny` by name as well."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_BASES = "a hub id (name/model), a diffusers folder or a .safetensors or .ckpt file"
_KNOWN = "; lapel adapts " + ", ".join(family.title for family in FAMILIES.values())


def check_base(settings: BaseSettings) -> None:
    """What can be said against a base at once, without loading or downloading anything.

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
        folder_family(place, settings.base)
    elif place.suffix not in PICKLES:  # to look into one takes torch
        open_single_file(place)


def base_place(settings: BaseSettings) -> Path | str:
    """The folder or file of a base, or the hub id as it is.

    Raises:
        UserError: the name is neither of a file or folder that exists nor shaped like a hub id.
    """
    return SHIPPED.get(settings.base) or place_of(settings.base, "--base")


def part_folder(folder: Path, part: str) -> Path:
    """Where a part of a diffusers folder lies: of `tiny-inpainting`, all but the UNet are those of `tiny`."""
    return (TINY_FOLDER if folder == TINY_INPAINTING and part != "unet" else folder) / part


def encoder_file(given: Path) -> Path:
    """The file of a garment encoder: the shipped one for `tiny`, and otherwise what was given."""
    return TINY_ENCODER if given == Path("tiny") else given


def place_of(name: str, flag: str, takes: str = _BASES) -> Path | str:
    """The folder or file that a name means, or the hub id as it is; `flag` is where the name was given.

    Args:
        takes: what the flag takes, for who gave it something else.

    Raises:
        UserError: the name is neither of a file or folder that exists nor shaped like a hub id.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    if path.suffix in SUFFIXES or path.is_absolute():
        raise UserError(f"{name}: no such file or folder; give {flag} a path that exists")
    if not _HUB_ID.fullmatch(name) or name.startswith("."):
        tiny = "`tiny`, `tiny-inpainting`, " if flag == "--base" else ""
        raise UserError(f"{name}: no such file or folder, and not a hub id; {flag} takes {tiny}{takes}")
    return name


def folder_family(folder: Path, name: str) -> Family:
    """The family of a diffusers folder, by its configuration files.

    Args:
        name: as the user gave it.

    Raises:
        UserError: not a diffusers folder, or of another kind of model.
    """
    config = _read_json(folder / "unet" / "config.json")
    if not part_folder(folder, "model_index.json").is_file():
        raise UserError(
            f"{name}: not a diffusers folder (no model_index.json); --base takes one, or a .safetensors or .ckpt file"
        )
    family = family_of(config) if config else None
    if family is None:
        raise UserError(f"{name}: not a base of a known family{_KNOWN} (no refiners, no other models)")
    return family


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

"""Where a base lies: shipped, in a folder, in one file, or on the Hugging Face hub. Imports nothing heavy."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

from lapel.base.families import FAMILIES, Family, family_of
from lapel.base.settings import BaseSettings
from lapel.errors import UserError

TINY_FOLDER = Path(__file__).parent / "tiny"
"""The base that lapel ships: a diffusers folder, with an image tower beside the usual parts."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_KNOWN = "; lapel adapts " + ", ".join(family.title for family in FAMILIES.values())


def check_base(settings: BaseSettings) -> None:
    """What can be said against a base at once, without loading or downloading anything.

    Raises:
        UserError: a file or folder that is missing, of an unknown kind, or truncated.
    """
    place = place_of(settings)
    if isinstance(place, str):
        return
    if place.is_dir():
        folder_family(place, settings.base)
    else:
        single_file_family(place)


def place_of(settings: BaseSettings) -> Path | str:
    """The folder or file of a base, or the hub id as it is.

    Raises:
        UserError: the name is neither of a file or folder that exists nor shaped like a hub id.
    """
    name = settings.base
    if name == "tiny":
        return TINY_FOLDER
    path = Path(name).expanduser()
    if path.exists():
        return path
    if path.suffix in (".safetensors", ".ckpt", ".pt", ".bin") or path.is_absolute():
        raise UserError(f"{name}: no such file or folder; give --base a path that exists")
    if not _HUB_ID.fullmatch(name) or name.startswith("."):
        hint = "`tiny`, a hub id (name/model), a diffusers folder or a .safetensors file"
        raise UserError(f"{name}: no such file or folder, and not a hub id; --base takes {hint}")
    return name


def folder_family(folder: Path, name: str) -> Family:
    """The family of a diffusers folder, by its configuration files.

    Raises:
        UserError: not a diffusers folder, or of another kind of model.
    """
    config = _read_json(folder / "unet" / "config.json")
    if not (folder / "model_index.json").is_file():
        raise UserError(
            f"{name}: not a diffusers folder (no model_index.json); --base takes one, or a .safetensors file"
        )
    family = family_of(config) if config else None
    if family is None:
        raise UserError(f"{name}: not a base of a known family{_KNOWN} (no inpainting UNets, no refiners)")
    return family


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path}: not valid JSON; download it again") from None


def read_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file: dtype, shape and offsets by tensor name, and `__metadata__`.

    Raises:
        UserError: the file is not safetensors, or shorter than its header says.
    """
    if path.suffix != ".safetensors":
        raise UserError(f"{path}: not a .safetensors file; convert it (pickles can run code, so lapel reads none)")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if 8 + length > size:
            raise UserError(f"{path}: truncated ({size} bytes); download it again")
        try:
            header = json.loads(file.read(length))
        except ValueError:
            raise UserError(f"{path}: not a safetensors file; download it again") from None
    ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
    expected = 8 + length + max(ends, default=0)
    if size < expected:
        raise UserError(f"{path}: truncated ({size} of {expected} bytes); download it again")
    return header


def single_file_family(path: Path) -> tuple[str, Family]:
    """Which configuration fits a single-file checkpoint: `tiny` or a family's name, and the family.

    The width of the text that the UNet attends to tells them apart, as it does in ComfyUI and InvokeAI.

    Raises:
        UserError: the file cannot be read, or holds another kind of model.
    """
    header = read_header(path)
    unet = "model.diffusion_model."
    widths = {
        entry["shape"][1]
        for key, entry in header.items()
        if key.startswith(unet) and key.endswith("transformer_blocks.0.attn2.to_k.weight")
    }
    channels = header.get(f"{unet}input_blocks.0.0.weight", {}).get("shape", [0, 0])[1]
    found = {192: "tiny", 768: "sd15", 1024: "sd2", 2048: "sdxl"}.get(widths.pop()) if len(widths) == 1 else None
    if found is None or channels != 4:
        extra = " (a file of UNet weights or an adapter alone is not a base)" if channels == 0 else ""
        raise UserError(f"{path}: not a single-file checkpoint of a known family{_KNOWN}{extra}")
    return found, FAMILIES["sd15" if found == "tiny" else found]

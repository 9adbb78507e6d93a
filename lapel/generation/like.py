"""Reads an image's settings back, lapel's or WebUI's, so that it can be drawn again or varied."""

from __future__ import annotations

import json
import re
from pathlib import Path

from lapel.errors import UserError
from lapel.generation.schedulers import scheduler_name

_PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
"""One of the settings of the last line, as WebUI 1.10 parses it."""

_WORN = re.compile(r"\s*<(?:lora|lyco):[^<>]*>")
"""What a prompt of WebUI wears; files are named on the command line."""

_FLAGS = {"Steps": "steps", "CFG scale": "guidance", "Seed": "seeds", "Clip skip": "clip_skip", "Model": "base"}


def like(argv: list[str]) -> list[str]:
    """A command line in which `--like IMAGE` has become the settings that the image was drawn with.

    They stand first, so that whatever else the command line says wins.

    Raises:
        UserError: `--like` without a file, or an image that tells no settings.
    """
    if not any(word == "--like" or word.startswith("--like=") for word in argv):
        return argv
    at = next(number for number, word in enumerate(argv) if word.split("=")[0] == "--like")
    _, equals, given = argv[at].partition("=")
    rest = argv[:at] + argv[at + (1 if equals else 2) :]
    path = given if equals else next(iter(argv[at + 1 : at + 2]), "")
    if not path or path.startswith("--"):
        raise UserError("--like takes an image that lapel or WebUI has drawn")
    said = {word.split("=")[0].removeprefix("--") for word in rest if word.startswith("--")}
    if said & {"adapter", "encoder"}:
        said.add("base")  # theirs is the one that fits
    return [f"--{flag}={value}" for flag, value in image_flags(Path(path)).items() if flag not in said] + rest


def image_flags(path: Path) -> dict[str, str]:
    """The settings in an image's "parameters" text, by the names of the programs' flags.

    Raises:
        UserError: no image, or one without such a text.
    """
    return parameter_flags(_parameters(path), path)


def parameter_flags(text: str, path: Path) -> dict[str, str]:
    """`image_flags` of the text itself; `path` is what messages name."""
    *lines, last = text.strip().split("\n")
    pairs = {key: json.loads(value) if value.startswith('"') else value for key, value in _PAIR.findall(last)}
    if len(pairs) < 3:
        raise UserError(f"{path}: its settings cannot be read; give an image that lapel or WebUI has drawn")
    at = next((number for number, line in enumerate(lines) if line.startswith("Negative prompt:")), len(lines))
    flags = {"prompt": _WORN.sub("", "\n".join(lines[:at])).strip()}
    if negative := "\n".join(lines[at:]).removeprefix("Negative prompt:").strip():
        flags["negative_prompt"] = negative
    flags |= {flag: str(pairs[key]) for key, flag in _FLAGS.items() if key in pairs}
    if pairs.get("Version") != "lapel":
        flags.pop("base", None)  # WebUI names a checkpoint of its own folder
    if match := re.fullmatch(r"(\d+)x(\d+)", str(pairs.get("Size", ""))):
        flags["width"], flags["height"] = match.groups()
    if pairs.get("Sampler"):
        schedule = str(pairs.get("Schedule type", "")).replace("Automatic", "")
        flags["scheduler"] = scheduler_name(f"{pairs['Sampler']} {schedule}".strip())
    return flags


def _parameters(path: Path) -> str:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            text = image.info.get("parameters")
    except FileNotFoundError:
        raise UserError(f"{path}: no such image; give --like one that lapel or WebUI has drawn") from None
    except (OSError, UnidentifiedImageError):
        raise UserError(f"{path}: not an image; give --like one that lapel or WebUI has drawn") from None
    if not isinstance(text, str):
        raise UserError(f"{path}: tells no settings; they stand in the PNGs that lapel and WebUI write")
    return text

"""Reads an image's settings back, lapel's or WebUI's, so that it can be drawn again or varied."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path

from lapel.errors import UserError
from lapel.generation.parsed import PARSED
from lapel.generation.schedulers import scheduler_name
from lapel.photos.people.pose import NAMED

_PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
"""One of the settings of the last line, as WebUI 1.10 parses it."""

_WORN = re.compile(r"\s*<(?:lora|lyco):[^<>]*>")
"""What a prompt of WebUI wears; files are named on the command line."""

_FLAGS = {
    "Steps": "steps",
    "CFG scale": "guidance",
    "Seed": "seeds",
    "Clip skip": "clip_skip",
    "Model": "base",
    "Denoising strength": "strength",
    "Mask blur": "mask_feather",
    "Masked area padding": "padding",
}
"""What WebUI's keys are called here."""

_MASKED_CONTENT = {"original": "original", "fill": "fill", "latent noise": "noise", "latent nothing": "nothing"}

_OF_BASE = ("base", "revision", "variant", "vae", "prediction_type", "zero_terminal_snr")
_WITH = {"adapter": ("weight", *_OF_BASE), "encoder": ("image_tower", *_OF_BASE), "base": _OF_BASE}
"""Flags that go with another: whoever names that anew, or where its file is lost, says them anew."""

_CONTROL = ("controlnet", "control", "control_weight", "control_start", "control_end")
"""Of as many each, so that they are lost together."""

Flags = dict[str, str | list[str]]


def like(argv: list[str], *kinds: type) -> list[str]:
    """A command line in which `--like IMAGE` has become the settings that the image was drawn with.

    They stand first, so that whatever else the command line says wins. What cannot be given back, because its file is
    not there, or because the program has no such setting, is said on stderr, in one line.

    Args:
        kinds: the dataclasses of the program's settings.

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
    flags, lost = image_flags(Path(path))
    known = {field.name: str(field.type) for kind in kinds for field in dataclasses.fields(kind)}
    for flag in said:
        _forget(flag, flags)
    for flag, value in [*flags.items()]:
        if flag in flags and (why := _lost(flag, value, known)):
            lost.append(why)
            for name in _CONTROL if flag in _CONTROL else (flag,):
                _forget(name, flags)
    if lost:
        print(f"{path}: not given back: {'; '.join(lost)}", file=sys.stderr)
    return [word for flag, value in flags.items() for word in _words(flag, value)] + rest


def _forget(flag: str, flags: Flags) -> None:
    """Leave out a flag, and those that mean nothing without it."""
    for name in (flag, *_WITH.get(flag, ())):
        flags.pop(name, None)


def _lost(flag: str, value: str | list[str], known: dict[str, str]) -> str:
    """Why a flag cannot be given back; empty where it can."""
    texts = value if isinstance(value, list) else [value]
    if flag not in known:
        return f"{flag} {' '.join(texts)} (no setting of this program)"
    missing = [text for text in texts if "Path" in known[flag] and not _is_there(text)]
    return f"{flag} {' '.join(missing)} (no such file)" if missing else ""


def _is_there(name: str) -> bool:
    """Whether a file is there, or what a name that is no file's stands for: `tiny`, a pose of the library."""
    kind, colon, rest = name.partition(":")
    if name == "tiny" or Path(name).exists():
        return True
    of_library = f"{kind}:" in (NAMED, PARSED) and not Path(rest).suffix
    return bool(colon) and (of_library or Path(rest.removeprefix(NAMED)).exists())


def _words(flag: str, value: str | list[str]) -> list[str]:
    return [f"--{flag}", *value] if isinstance(value, list) else [f"--{flag}={value}"]


def image_flags(path: Path) -> tuple[Flags, list[str]]:
    """The settings in an image's "parameters" text, by the names of the programs' flags, and what it tells besides.

    Raises:
        UserError: no image, or one without such a text.
    """
    return parameter_flags(_parameters(path), path)


def parameter_flags(text: str, path: Path) -> tuple[Flags, list[str]]:
    """`image_flags` of the text itself; `path` is what messages name."""
    *lines, last = text.strip().split("\n")
    pairs = {key: json.loads(value) if value.startswith('"') else value for key, value in _PAIR.findall(last)}
    if len(pairs) < 3:
        raise UserError(f"{path}: its settings cannot be read; give an image that lapel or WebUI has drawn")
    at = next((number for number, line in enumerate(lines) if line.startswith("Negative prompt:")), len(lines))
    prompt = "\n".join(lines[:at])
    flags: Flags = {"prompt": _WORN.sub("", prompt).strip()}
    if negative := "\n".join(lines[at:]).removeprefix("Negative prompt:").strip():
        flags["negative_prompt"] = negative
    ours = pairs.get("Version") == "lapel"
    told = {flag: str(pairs[key]) for key, flag in _FLAGS.items() if key in pairs}
    if ours:
        # Its own flags tell of a change of clothes, as they were given.
        flags |= {flag: told[flag] for flag in ("steps", "guidance", "seeds", "clip_skip", "base") if flag in told}
        flags |= {key: _value(str(value)) for key, value in pairs.items() if key.islower()}
    else:
        told.pop("base", None)  # WebUI names a checkpoint of its own folder
        flags |= told
        if pairs.get("Masked content") in _MASKED_CONTENT:
            flags["masked_content"] = _MASKED_CONTENT[pairs["Masked content"]]
        if "Mask blur" in pairs or "Inpaint area" in pairs:
            flags["only_masked"] = str(pairs.get("Inpaint area") == "Only masked").lower()
    if match := re.fullmatch(r"(\d+)x(\d+)", str(pairs.get("Size", ""))):
        flags["width"], flags["height"] = match.groups()
    if pairs.get("Sampler"):
        schedule = str(pairs.get("Schedule type", "")).replace("Automatic", "")
        flags["scheduler"] = scheduler_name(f"{pairs['Sampler']} {schedule}".strip())
    return flags, [] if ours else _files_of_webui(prompt, pairs)


def _value(text: str) -> str | list[str]:
    """A setting's value: several stand as a list of JSON."""
    if not text.startswith("["):
        return text
    try:
        return [str(item) for item in json.loads(text)]
    except ValueError:
        return text


def _files_of_webui(prompt: str, pairs: dict[str, str]) -> list[str]:
    """What WebUI tells of files that only it knows the place of."""
    told = [f"{key} {pairs[key]}" for key in pairs if key == "VAE" or re.fullmatch(r"ControlNet \d+", key)]
    return [*map(str.strip, _WORN.findall(prompt)), *told]


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

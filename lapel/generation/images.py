"""Image files with their settings inside, as WebUI writes and reads them ("PNG Info")."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lapel.files import written_whole
from lapel.generation.picture import PictureSettings
from lapel.generation.schedulers import SCHEDULERS

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class WornAdapter:
    """An adapter as a prompt of WebUI names it: `<lora:name:weight>`."""

    name: str
    weight: float
    hash: str = ""
    """The `sshs_model_hash` of the file, or nothing where it has none."""


@dataclass(frozen=True)
class Provenance:
    """What an image was drawn with beside its own settings."""

    model: str = ""
    model_hash: str = ""
    adapters: tuple[WornAdapter, ...] = ()
    clip_skip: int = 1
    further: dict[str, str] = field(default_factory=dict)
    """Further keys and their values."""


def parameters_text(
    picture: PictureSettings, seed: int, size: tuple[int, int], provenance: Provenance | None = None
) -> str:
    """The "parameters" text of one image, as AUTOMATIC1111's WebUI 1.10 writes and parses it.

    `size` is (width, height) in pixels. Three parts: the prompt (with its `<lora:...>` terms), the negative prompt, and
    one line of `key: value` pairs in which a value with a comma, a colon or a line break stands in JSON quotes.
    """
    provenance = provenance or Provenance()
    worn = "".join(f" <lora:{adapter.name}:{adapter.weight:g}>" for adapter in provenance.adapters)
    scheduler = SCHEDULERS[picture.scheduler] if picture.scheduler else None
    pairs = {
        "Steps": str(picture.steps),
        "Sampler": scheduler.sampler if scheduler else "",
        "Schedule type": scheduler.schedule if scheduler else "",
        "CFG scale": f"{picture.guidance:g}",
        "Seed": str(seed),
        "Size": f"{size[0]}x{size[1]}",
        "Model hash": provenance.model_hash[:10],
        "Model": provenance.model,
        "Clip skip": str(provenance.clip_skip) if provenance.clip_skip > 1 else "",
        **provenance.further,
        "Lora hashes": ", ".join(f"{worn.name}: {worn.hash[:12]}" for worn in provenance.adapters if worn.hash),
        "Version": "lapel",
    }
    lines = [picture.prompt + worn]
    if picture.negative_prompt:
        lines.append(f"Negative prompt: {picture.negative_prompt}")
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in pairs.items() if value))
    return "\n".join(lines)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if any(mark in value for mark in ',:"\n') else value


def save_image(
    path: Path, image: Image.Image, picture: PictureSettings, seed: int, provenance: Provenance | None = None
) -> None:
    """Write `image` as a PNG that carries its settings, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_image(path, image, parameters_text(picture, seed, image.size, provenance))


def write_image(path: Path, image: Image.Image, parameters: str) -> None:
    """Write `image` as a PNG that carries that text of its settings, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    from PIL.PngImagePlugin import PngInfo

    information = PngInfo()
    information.add_text("parameters", parameters)
    with written_whole(path) as unfinished:
        image.save(unfinished, format="PNG", pnginfo=information)


def next_number(folder: Path) -> int:
    """The number of the next image in a folder whose images begin with four digits."""
    return 1 + max((int(path.stem[:4]) for path in folder.glob("[0-9][0-9][0-9][0-9]-*.png")), default=0)

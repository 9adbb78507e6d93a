"""What a prediction depends on, in one short name: settings, shapes, libraries and code."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lapel
from lapel.base.find import base_place
from lapel.base.settings import BaseSettings
from lapel.base.single_file import open_single_file

if TYPE_CHECKING:
    from lapel.training.facts import AllSettings

_LIBRARIES = ("torch", "diffusers", "transformers", "peft", "bitsandbytes", "accelerate")
_ROOMS = ("base", "adapters", "training")
_SHAPING = ("base", "revision", "vae", "clip_skip", "precision")
"""The settings of a base that its shapes depend on, beside those that a plan chooses."""


def content_key(settings: AllSettings, *matters: Any) -> str:
    """The name of a prediction: the same only where everything is the same that it is made from."""
    base = dataclasses.asdict(settings.base)
    facts = {
        "base": {name: base[name] for name in _SHAPING},
        "shape": _shape(settings.base),
        "matters": matters,
        "versions": {library: version(library) for library in _LIBRARIES},
        "code": _code(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _shape(settings: BaseSettings) -> Any:
    """What the files of a base say of its shape; a hub id's commit stands for it."""
    place = base_place(settings)
    if isinstance(place, str):
        return place
    if place.is_dir():
        return {str(path.relative_to(place)): path.read_text("utf-8") for path in sorted(place.glob("*/config.json"))}
    file = open_single_file(place)
    return [file.shape, file.inpainting]


@functools.cache
def _code() -> str:
    """Of this library's code, as far as a training runs through it."""
    digest = hashlib.sha256()
    root = Path(lapel.__file__).parent
    for room in _ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()

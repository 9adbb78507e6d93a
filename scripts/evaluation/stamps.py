"""What files hold, in a word: by which what was made of other files is told apart."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from lapel.base.find import SHIPPED, part_folder
from lapel.files import sha256

_PARTS = ("unet", "vae", "text_encoder", "text_encoder_2", "image_encoder")
"""Of a base's folder, those that draw and see."""

_WEIGHTS = (".safetensors", ".bin")

_READ = 2**27
"""Bytes of the largest files whose content is read; larger ones are told by size and time of change."""


def digest(value: Any) -> str:
    """Of what JSON can say."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def stamp(place: Path) -> str:
    """Of a file, or of all files in a folder but hidden ones."""
    if place.is_file():
        return _of_file(place)
    files = (file for file in sorted(place.rglob("*")) if file.is_file() and not file.name.startswith("."))
    return digest([[file.relative_to(place).as_posix(), _of_file(file)] for file in files])


def model_stamp(name: str) -> str:
    """Of the weights of a base or a tower: a file, a folder, or `tiny`; what lies on a hub has its name alone."""
    path = SHIPPED.get(name) or Path(name)
    if not path.exists():
        return name
    parts = [part_folder(path, part) for part in _PARTS]
    weights = [file for part in parts for file in sorted(part.glob("*")) if file.suffix in _WEIGHTS]
    return digest([_of_file(file) for file in weights]) if weights else stamp(path)


def _of_file(path: Path) -> str:
    told = path.stat()
    return _hash(path, told.st_mtime_ns) if told.st_size <= _READ else f"{told.st_size} {told.st_mtime_ns}"


@functools.cache
def _hash(path: Path, _changed: int) -> str:
    return sha256(path)[:16]

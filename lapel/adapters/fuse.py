"""Bases that wear adapters in their very weights: what is trained or drawn on them costs nothing extra.

What is trained on such a base is a difference from the fused weights: its files hold nothing of what is worn.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection
from pathlib import Path

import torch

from lapel.adapters.find import adapter_files
from lapel.adapters.kinds import PARTS
from lapel.adapters.merge import merge
from lapel.adapters.names import layer_modules, names_of, skipped_layers
from lapel.adapters.read import read_adapter
from lapel.base.base import Base, Worn
from lapel.base.load import load_base, reload_encoders
from lapel.base.quantise import quantise
from lapel.base.settings import BaseSettings
from lapel.files import sha256


def load_fused_base(settings: BaseSettings, device: torch.device | str = "cpu") -> Base:
    """`load_base`, with the adapters that the settings name added to its weights, in their order, then quantised.

    Raises:
        UserError: a base that cannot be loaded, or an adapter that cannot be read or is made for another base.
    """
    base = load_base(settings, device)
    _fuse(base, settings, PARTS)
    if settings.frozen_weights != "full":
        quantise(base.unet, settings.frozen_weights, device)
    base.worn = tuple(Worn(path.name, weight, _content_hash(path)) for path, weight in settings.worn)
    return base


def reload_fused_encoders(base: Base, settings: BaseSettings) -> None:
    """`reload_encoders`, with what the text encoders wear added again; the UNet wears it still."""
    reload_encoders(base, settings)
    _fuse(base, settings, PARTS[1:])


def _fuse(base: Base, settings: BaseSettings, parts: Collection[str]) -> None:
    names, modules = names_of(base.family, base.models), layer_modules(base.models)
    without_effect = set(skipped_layers(base.models))
    for path, weight in settings.worn:
        adapter = read_adapter(path, names)
        layers = {
            name: layer
            for name, layer in adapter.layers.items()
            if name.split(".", 1)[0] in parts and name not in without_effect
        }
        merge(dataclasses.replace(adapter, layers=layers), modules, weight)


def _content_hash(path: Path) -> str:
    """The SHA-256 of an adapter's file; of a folder of several, that of theirs in order."""
    digests = [sha256(file) for file in adapter_files(path)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

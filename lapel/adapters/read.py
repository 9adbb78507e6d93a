"""Read adapter files of every layout: kohya's and LyCORIS', diffusers' of all ages, and peft's folders."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import tensor

from lapel.adapters.find import adapter_files
from lapel.adapters.kinds import (
    DOWN,
    ENDINGS,
    KINDS,
    PARTS,
    PEFT_CONFIG,
    PEFT_PREFIX,
    UP,
    Layout,
    layout_of,
    stated_family,
)
from lapel.adapters.layers import Layers, is_whole
from lapel.adapters.names import Names, family_names
from lapel.base.ldm import published_name
from lapel.base.weights import WeightFile, open_weights
from lapel.errors import UserError


@dataclass(frozen=True)
class Adapter:
    """An adapter file by its layers."""

    path: Path
    layout: Layout
    names: Names
    layers: Layers
    metadata: dict[str, str]
    spelling: dict[str, str] = field(default_factory=dict)
    """Layer -> the stem, or the name without ending, that the file's keys have for it."""


def read_adapter(path: Path, names: Names | None = None) -> Adapter:
    """Every layer of an adapter file, or of a folder that peft wrote, with a folder for each part or without.

    Args:
        names: the layers that there are; those of the family that the file is made for unless given.

    Raises:
        UserError: the file is missing, damaged, no adapter, or has keys that fit no layer; all in one line.
    """
    files = [open_weights(file) for file in adapter_files(path)]
    layout = layout_of(key for file in files for key in file.shapes)
    if layout is None:
        raise UserError(f"{path}: not an adapter (no layers of a LoRA or its kin, in any layout)")
    names = names or family_names(family_in(files[0]))
    layers: Layers = {}
    spelling: dict[str, str] = {}
    for file in files:
        found = _layers(file, layout, names, spelling)
        config = _peft_config(file.path) if layout == "peft" else None
        _add_alphas(found, file.metadata, config)
        layers |= found
    return Adapter(path, layout, names, layers, files[0].metadata, spelling)


def _layers(file: WeightFile, layout: Layout, names: Names, spelling: dict[str, str]) -> Layers:
    part = file.path.parent.name if file.path.parent.name in PARTS else None
    keys = {key: _key(key, layout, names, part) for key in file.shapes}
    odd = [key for key, place in keys.items() if place is None]
    if odd:
        raise UserError(
            f"{file.path}: {len(odd)} keys fit no layer of this {names.family.title} base, {odd[0]} for one"
        )
    layers: Layers = {}
    for key, value in file.read(file.shapes).items():
        place = keys[key]
        assert place is not None, "the odd ones were turned away"
        layers.setdefault(place[0], {})[place[1]] = value
        spelling[place[0]] = key.removesuffix(f".{place[1]}")
    half = next((name for name, layer in layers.items() if not is_whole(layer)), None)
    if half is not None:
        raise UserError(f"{file.path}: {half} is incomplete ({', '.join(sorted(layers[half]))} alone); export it again")
    _settle_columns(layers, layout)
    return layers


def _peft_config(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.with_name(PEFT_CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{file}: its {PEFT_CONFIG} is missing or broken, which tells its alpha") from None


def _key(key: str, layout: Layout, names: Names, part: str | None) -> tuple[str, str] | None:
    """The layer and the kind of tensor that a key means; None for a key that means nothing known.

    Args:
        part: which peft's file is of, where its folder tells.
    """
    if layout == "kohya":
        kind = next((kind for kind in KINDS if key.endswith(f".{kind}")), None)
        layer = names.layers.get(key.removesuffix(f".{kind}"))
        return (layer, kind) if layer is not None and kind is not None else None
    ending = next((ending for ending in ENDINGS if key.endswith(ending)), None)
    if ending is None:
        return None
    module = key.removesuffix(ending).removeprefix(PEFT_PREFIX)
    module = re.sub(r"\.processor(?=\.|$)", "", module)
    module = re.sub(r"\.to_out$", ".to_out.0", module) if ending.startswith("_lora") else module
    if layout == "peft" and not module.startswith(PARTS):
        part = part or ("unet" if f"unet.{module}" in names.stems else "text_encoder")
        module = f"{part}.{module}"
    part, _, rest = module.partition(".")
    layer = module if part == "unet" else f"{part}.{published_name(rest)}"
    return (layer, ENDINGS[ending]) if layer in names.stems else None


def _settle_columns(layers: Layers, layout: Layout) -> None:
    """peft keeps a linear layer's lengths as (out,), a convolution's as (1, out, 1, 1); here they are (out, 1...)."""
    for layer in layers.values():
        if layout != "kohya" and "dora_scale" in layer:
            layer["dora_scale"] = layer["dora_scale"].reshape(-1, *[1] * (layer[UP].dim() - 1))


def _add_alphas(layers: Layers, metadata: Mapping[str, str], config: dict[str, Any] | None) -> None:
    """alpha where the file tells it outside of its tensors: in diffusers' metadata, or in peft's configuration."""
    configs: dict[str, Any] = {} if config is None else dict.fromkeys(PARTS, config)
    try:
        stated = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    except ValueError:
        stated = {}
    for key, value in stated.items():
        part, _, field = key.partition(".")
        configs.setdefault(part, {})[field] = value
    for name, layer in layers.items():
        part, _, module = name.partition(".")
        if part in configs and "alpha" not in layer and DOWN in layer:
            layer["alpha"] = tensor(_alpha(configs[part], module, layer[DOWN].shape[0]))


def _alpha(config: Mapping[str, Any], module: str, rank: int) -> float:
    """peft's alpha of a module: a pattern's, or the common one; rsLoRA's divisor is the root of the rank."""
    found = float(config.get("lora_alpha", rank))
    for pattern, alpha in (config.get("alpha_pattern") or {}).items():
        if re.search(rf"(^|\.){pattern}$", module):
            found = float(alpha)
    return found * rank**0.5 if config.get("use_rslora") else found


def family_in(file: WeightFile) -> str:
    """The family that an adapter is made for: as its metadata says, or by the shapes that InvokeAI goes by.

    Raises:
        UserError: neither tells.
    """
    stated = stated_family(file.metadata)
    if stated is not None:
        return stated
    by_width = {768: "sd15", 1024: "sd2", 2048: "sdxl"}
    for key, shape in file.shapes.items():
        attends_to_text = re.search(r"attn2[._](processor\.)?to_[kv]", key)
        if attends_to_text and key.endswith((DOWN, ".lora_A.weight", "lora.down.weight")) and shape[-1] in by_width:
            return by_width[shape[-1]]
    if any(key.startswith(("lora_te1_", "lora_te2_", "text_encoder_2.")) for key in file.shapes):
        return "sdxl"
    for key, shape in file.shapes.items():
        if "self_attn" in key and key.endswith((DOWN, ".lora_A.weight")) and shape[-1] in (768, 1024):
            return by_width[shape[-1]]
    raise UserError(f"{file.path}: tells neither by metadata nor by its shapes which family it is for; name a --base")

"""What adapter files call the layers of a base: every spelling in use leads to one layer, and one spelling is written.

A layer's own name is `<part>.<module>`, such as `unet.mid_block.attentions.0.proj_in` or
`text_encoder.text_model.encoder.layers.0.mlp.fc1`: that of diffusers' layout.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from lapel.adapters.kinds import PARTS
from lapel.base.configs import TEXT_CONFIGS, UNET_CONFIGS, text_config
from lapel.base.families import FAMILIES, Family
from lapel.base.ldm import ldm_name, published_name

UNET_PREFIX = "lora_unet_"


@dataclass(frozen=True)
class Names:
    """The layers of one family that adapters may change, under all their names."""

    family: Family
    stems: dict[str, str]
    """Layer -> the stem that kohya's layout has for it, in the spelling that front ends map without loss."""
    layers: dict[str, str]
    """Any stem in use -> layer. SDXL's UNet goes by two spellings, and text encoders by several."""


_ADDED = re.compile(r"\.lora_|^encoder_hid_proj\.|\.processor\.")
"""In the names of what peft and garment encoders add to a model."""


def layer_modules(models: Mapping[str, Any]) -> dict[str, Any]:
    """Every linear and convolutional layer by its name; below a peft layer, the base's own; no garment encoder's.

    Args:
        models: by part: `unet`, `text_encoder`, `text_encoder_2`.
    """
    return {
        f"{part}.{module if part == 'unet' else published_name(module)}": layer
        for part, model in models.items()
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and not _ADDED.search(name)
        for module in [name.removesuffix(".base_layer")]
    }


def names_of(family: Family, models: Mapping[str, Any]) -> Names:
    """The names of these models' layers; `models` as in `layer_modules`, with the UNet among them."""
    unet_config = models["unet"].config
    stems: dict[str, str] = {}
    layers: dict[str, str] = {}
    for layer in [*layer_modules(models), *skipped_layers(models)]:
        part, module = layer.split(".", 1)
        spellings = _unet_stems(family, unet_config, module) if part == "unet" else _text_stems(family, part, module)
        stems[layer] = spellings[0]
        layers |= dict.fromkeys(spellings, layer)
    return Names(family, stems, layers)


def skipped_layers(models: Mapping[str, Any]) -> list[str]:
    """The layers that text encoders were made to end before (clip skip): files have them, and they have no effect."""
    found = []
    for part in PARTS[1:]:
        if part not in models:
            continue
        config = models[part].config
        first = [name for name in layer_modules({part: models[part]}) if ".layers.0." in name]
        for number in range(getattr(config, "clip_skip", 1) - 1):
            found += [name.replace(".layers.0.", f".layers.{config.num_hidden_layers + number}.") for name in first]
    return found


def _unet_stems(family: Family, unet_config: Any, module: str) -> list[str]:
    attention = ["CrossAttn" in kind for kind in unet_config["up_block_types"]]
    original = ldm_name(module, unet_config["layers_per_block"], attention)
    spellings = [original, module] if family.sgm_names else [module, original]
    return [UNET_PREFIX + name.replace(".", "_") for name in spellings]


def _text_stems(family: Family, part: str, module: str) -> list[str]:
    number = PARTS.index(part) - 1
    prefixes = [family.text_prefixes[number], f"lora_te{number + 1}_"]
    # Files that were written with transformers 5.6 or later in place lack the level `text_model`.
    modules = [module, module.removeprefix("text_model.")]
    return list(dict.fromkeys(prefix + name.replace(".", "_") for name in modules for prefix in prefixes))


@functools.cache
def family_names(family: str) -> Names:
    """The names of a family's published bases, from models without memory: what converting needs of a base."""
    from accelerate import init_empty_weights
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    with init_empty_weights():
        models: dict[str, Any] = {"unet": UNet2DConditionModel(**UNET_CONFIGS[family])}
        for number in range(len(TEXT_CONFIGS[family])):
            kind = CLIPTextModelWithProjection if number else CLIPTextModel
            models[PARTS[number + 1]] = kind(text_config(family, number))
    return names_of(FAMILIES[family], models)

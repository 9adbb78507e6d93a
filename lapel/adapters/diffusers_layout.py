"""diffusers' layout of an adapter: peft's names under the pipeline's parts, and no alpha; and peft's own.

unet.<module>.lora_A.weight (rank, in..)   .lora_B.weight (out, rank..)   [.lora_magnitude_vector.weight]

peft keeps a folder for each part, with `base_model.model.` in place of the part's name and its settings beside.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lapel.adapters.kinds import DOWN, PEFT_CONFIG, PEFT_FILE, PEFT_PREFIX, UP
from lapel.adapters.layers import Layer, Layers, in_precision, is_by_row, is_low_rank, scale_of, scaled
from lapel.files import save_tensors, written_whole


def diffusers_holds(layer: Layer) -> bool:
    """Whether the layout can say what the layer does: a LoRA, or a DoRA by rows."""
    return is_low_rank(layer) and ("dora_scale" not in layer or is_by_row(layer))


def diffusers_tensors(layers: Layers, dtype: torch.dtype) -> dict[str, Tensor]:
    """The file's tensors. alpha / rank is folded into lora_B, since readers take alpha to be the rank.

    A magnitude is (out,) for a linear layer and (1, out, 1, 1) for a convolution, and its key ends in `.weight`: peft's
    own writer leaves that off, and text encoders then load without their magnitudes. It stays in fp32: rounding it
    rounds the whole weight, not just what was learned.

    Raises:
        ValueError: a layer that `diffusers_holds` denies.
    """
    tensors = {}
    for name, layer in layers.items():
        if not diffusers_holds(layer):
            raise ValueError(f"{name}: {', '.join(sorted(layer))} have no place in diffusers' layout")
        stored = in_precision(scaled({kind: layer[kind] for kind in (DOWN, UP)}, scale_of(layer)), dtype)
        tensors[f"{name}.lora_A.weight"] = stored[DOWN]
        tensors[f"{name}.lora_B.weight"] = stored[UP]
        if "dora_scale" in layer:
            shape = (1, -1, 1, 1) if layer[DOWN].dim() == 4 else (-1,)
            magnitude = layer["dora_scale"].reshape(shape).float().cpu().contiguous()
            tensors[f"{name}.lora_magnitude_vector.weight"] = magnitude
    return tensors


def save_peft(folder: Path, layers: Layers, tensors: Mapping[str, Tensor]) -> list[Path]:
    """Write `adapter_model.safetensors` and `adapter_config.json` for every part of the base that has layers.

    Args:
        tensors: as `diffusers_tensors` makes them of `layers`.

    Returns:
        The files of weights.
    """
    paths = []
    for part in dict.fromkeys(name.split(".", 1)[0] for name in layers):
        ranks = {
            name.removeprefix(f"{part}."): layer[DOWN].shape[0]
            for name, layer in layers.items()
            if name.startswith(f"{part}.")
        }
        own = {
            f"{PEFT_PREFIX}{key.removeprefix(f'{part}.')}": value
            for key, value in tensors.items()
            if key.startswith(f"{part}.")
        }
        path = folder / part / PEFT_FILE
        save_tensors(path, own, {"format": "pt"})
        with written_whole(path.with_name(PEFT_CONFIG)) as temporary:
            dora = any(key.endswith("lora_magnitude_vector.weight") for key in own)
            temporary.write_text(json.dumps(_peft_config(ranks, dora), indent=2), encoding="utf-8")
        paths.append(path)
    return paths


def _peft_config(ranks: Mapping[str, int], dora: bool) -> dict[str, Any]:
    """peft's settings of layers whose alpha is their rank."""
    usual = Counter(ranks.values()).most_common(1)[0][0]
    others = {module: rank for module, rank in ranks.items() if rank != usual}
    return {
        "peft_type": "LORA",
        "r": usual,
        "lora_alpha": usual,
        "rank_pattern": others,
        "alpha_pattern": others,
        "target_modules": list(ranks),
        "use_dora": dora,
        "bias": "none",
        "inference_mode": True,
    }

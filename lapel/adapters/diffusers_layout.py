"""diffusers' layout of an adapter: peft's names under the pipeline's parts, and no alpha.

unet.<module>.lora_A.weight (rank, in..)   .lora_B.weight (out, rank..)   [.lora_magnitude_vector.weight]
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from lapel.adapters.inject import LayerUpdate

DIFFUSERS_FILE = "pytorch_lora_weights.safetensors"
"""The name that `load_lora_weights` looks for in a folder."""


def diffusers_tensors(updates: Iterable[LayerUpdate], dtype: torch.dtype) -> dict[str, Tensor]:
    """The file's tensors. alpha / rank is folded into lora_B, since readers take alpha to be the rank.

    A magnitude is (out,) for a linear layer and (1, out, 1, 1) for a convolution, and its key ends in `.weight`: peft's
    own writer leaves that off, and text encoders then load without their magnitudes. It stays in fp32: rounding it
    rounds the whole weight, not just what was learned.
    """
    tensors = {}
    for update in updates:
        name = f"{update.part}.{update.module}"
        tensors[f"{name}.lora_A.weight"] = update.down.to("cpu", dtype).contiguous()
        tensors[f"{name}.lora_B.weight"] = (update.up * update.scale).to("cpu", dtype).contiguous()
        if update.magnitude is not None:
            shape = (1, -1, 1, 1) if update.weight.dim() == 4 else (-1,)
            magnitude = update.magnitude.reshape(shape).to("cpu").contiguous()
            tensors[f"{name}.lora_magnitude_vector.weight"] = magnitude
    return tensors

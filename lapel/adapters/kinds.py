"""What the keys of adapter files say, without a look at the numbers. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

Layout = Literal["kohya", "diffusers", "peft"]

PARTS = ("unet", "text_encoder", "text_encoder_2")
"""The models of a base that an adapter can change, as pipelines name them."""

DOWN, UP, MID = "lora_down.weight", "lora_up.weight", "lora_mid.weight"

KINDS: tuple[str, ...] = (
    *(DOWN, UP, MID, "alpha", "diff", "dora_scale"),
    *("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"),
    *("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"),
)
"""The tensors that kohya's and LyCORIS' files hold for a layer; `lapel.adapters.layers` says what they mean."""

PEFT_FILE, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"
DIFFUSERS_FILE = "pytorch_lora_weights.safetensors"
"""The name that diffusers' `load_lora_weights` looks for in a folder."""
PEFT_PREFIX = "base_model.model."

ENDINGS = {
    ".lora_A.weight": DOWN,
    ".lora_B.weight": UP,
    ".lora.down.weight": DOWN,
    ".lora.up.weight": UP,
    "_lora.down.weight": DOWN,
    "_lora.up.weight": UP,
    ".lora_linear_layer.down.weight": DOWN,
    ".lora_linear_layer.up.weight": UP,
    ".lora_magnitude_vector.weight": "dora_scale",
    ".lora_magnitude_vector": "dora_scale",
    ".alpha": "alpha",
}
"""Endings of keys in diffusers' layout, then and now, and the kinds that they mean."""


def layout_of(keys: Iterable[str]) -> Layout | None:
    """The layout of a file with these keys, or None where it holds no adapter."""
    keys = list(keys)
    if any(key.startswith("lora_") and key.endswith(KINDS) for key in keys):
        return "kohya"
    if any(key.startswith(PEFT_PREFIX) for key in keys):
        return "peft"
    ups = [ending for ending, kind in ENDINGS.items() if kind == UP]
    return "diffusers" if any(key.endswith(tuple(ups)) for key in keys) else None


def stated_family(metadata: Mapping[str, str]) -> str | None:
    """The family that a file's metadata names, in kohya's `ss_` fields or Stability's `modelspec.` fields."""
    version = metadata.get("ss_base_model_version", "") + " " + metadata.get("modelspec.architecture", "")
    if "sdxl" in version or "stable-diffusion-xl" in version:
        return "sdxl"
    if metadata.get("ss_v2") == "True" or "sd_v2" in version or "stable-diffusion-v2" in version:
        return "sd2"
    return "sd15" if "sd_v1" in version or "stable-diffusion-v1" in version else None

"""The exact words that load an adapter in each front end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KOHYA_SUFFIX = ".safetensors"
DIFFUSERS_FILE = "pytorch_lora_weights.safetensors"

_PIPELINES = {"sdxl": "StableDiffusionXLPipeline"}


@dataclass(frozen=True)
class Loading:
    """How one front end takes the adapter: where the file goes, and what is typed there."""

    client: str
    steps: str
    words: str


def example_prompt(card: Mapping[str, Any]) -> str:
    """A prompt that shows the garment: `a photo of <trigger> <class word>`."""
    return f"a photo of {card['trigger']} {card['class_word']}"


def ways_to_load(card: Mapping[str, Any]) -> list[Loading]:
    """One entry for each front end, with the card's own names filled in."""
    name, prompt = card["name"], example_prompt(card)
    file = f"{name}{KOHYA_SUFFIX}"
    return [
        Loading("lapel", "In the project's folder:", _lapel_words(card)),
        Loading("diffusers", f"Reads {DIFFUSERS_FILE}, from this folder:", _diffusers_words(card)),
        Loading(
            "WebUI and Forge",
            f"Put {file} into models/Lora (WebUI: also models/Lora/<any folder>), refresh the Lora tab, and write:",
            f"{prompt} <lora:{name}:1>",
        ),
        Loading(
            "ComfyUI",
            f"Put {file} into models/loras, place a Load LoRA node between the checkpoint and its users, choose the "
            "file with strength_model 1 and strength_clip 1, and write into CLIP Text Encode:",
            prompt,
        ),
        Loading(
            "InvokeAI",
            f"Add {file} in the Model Manager, choose it under LoRAs in Generation with weight 1, and write:",
            prompt,
        ),
    ]


def _lapel_words(card: Mapping[str, Any]) -> str:
    return f'python inference/generate.py --adapter {card["name"]}{KOHYA_SUFFIX} --prompt "a photo of {{garment}}"'


def _diffusers_words(card: Mapping[str, Any]) -> str:
    pipeline = _PIPELINES.get(card["family"], "StableDiffusionPipeline")
    base = str(card["base"])
    lines = [f"from diffusers import {pipeline}", ""]
    if base == "tiny":
        lines[1:1] = ["from lapel.base.find import TINY_FOLDER"]
        lines.append(f"pipeline = {pipeline}.from_pretrained(TINY_FOLDER)")
    elif base.endswith((".safetensors", ".ckpt", ".pt")):
        lines.append(f"pipeline = {pipeline}.from_single_file({base!r})")
    else:
        lines.append(f"pipeline = {pipeline}.from_pretrained({base!r})")
    lines.append(f'pipeline.load_lora_weights(".", weight_name={DIFFUSERS_FILE!r})')
    lines.append(f"image = pipeline({example_prompt(card)!r}).images[0]")
    return "\n".join(lines)

"""The exact words that load an adapter in each front end."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lapel.adapters.card import KOHYA_SUFFIX, has_word, is_checkpoint, weight_of
from lapel.adapters.kinds import DIFFUSERS_FILE
from lapel.base.families import FAMILIES
from lapel.base.find import SHIPPED

_PIPELINES = {"sdxl": "StableDiffusionXLPipeline"}


@dataclass(frozen=True)
class Loading:
    """How one front end takes the adapter: where the file goes, and what is typed there."""

    client: str
    steps: str
    words: str
    file: str = ""
    """A file of the run folder that helps there, "" where none is needed."""


def example_prompt(card: Mapping[str, Any]) -> str:
    """A prompt that shows the garment: `a photo of <trigger> <class word>`."""
    return f"a photo of {card['trigger']} {card['class_word']}".strip()


def comfyui_prompt(card: Mapping[str, Any]) -> str:
    """The same for ComfyUI, which takes a learned word only by the name of its file."""
    return example_prompt({**card, "trigger": f"embedding:{card['trigger']}"} if has_word(card) else card)


def clip_skip_of(card: Mapping[str, Any]) -> int:
    """The clip skip to set in front ends, as WebUI counts it: 1 is none, as where the family takes none."""
    skip, family = card.get("clip_skip"), FAMILIES.get(card["family"])
    return skip if isinstance(skip, int) and family is not None and family.takes_clip_skip else 1


def ways_to_load(card: Mapping[str, Any]) -> list[Loading]:
    """One entry for each front end, with the card's own names filled in."""
    ways = _checkpoint_ways(card) if is_checkpoint(card) else _adapter_ways(card)
    return [*ways, _word_way(card)] if has_word(card) else ways


def _word_way(card: Mapping[str, Any]) -> Loading:
    word = card["trigger"]
    file = f"{word}{KOHYA_SUFFIX}"
    steps = (
        f"{word} is a word that was learned, and every front end needs its file: put {file} into embeddings (WebUI, "
        f"Forge) or models/embeddings (ComfyUI, where it is written embedding:{word}), add it in InvokeAI's Model "
        "Manager; in diffusers:"
    )
    if card["family"] != "sdxl":
        return Loading("The word", steps, f"pipeline.load_textual_inversion({file!r}, token={word!r})", file)
    lines = ["from safetensors.torch import load_file", "", f"word = load_file({file!r})"]
    for name, end in (("clip_l", ""), ("clip_g", "_2")):
        parts = f"text_encoder=pipeline.text_encoder{end}, tokenizer=pipeline.tokenizer{end}"
        lines.append(f'pipeline.load_textual_inversion(word["{name}"], token={word!r}, {parts})')
    return Loading("The word", steps, "\n".join(lines), file)


def _checkpoint_ways(card: Mapping[str, Any]) -> list[Loading]:
    name, prompt = card["name"], example_prompt(card)
    file, workflow, lora = f"{name}{KOHYA_SUFFIX}", f"{name}.workflow.json", f"{name}-lora{KOHYA_SUFFIX}"
    pipeline = _PIPELINES.get(card["family"], "StableDiffusionPipeline")
    lines = [
        f"from diffusers import {pipeline}",
        "",
        f'pipeline = {pipeline}.from_pretrained("diffusers")',
        f"image = pipeline({prompt!r}).images[0]",
    ]
    set_skip, by_hand, in_invoke = _skip_words(card)
    by_web = f"Put {file} into models/Stable-diffusion, choose it as the checkpoint{set_skip}, and write:"
    ways = [
        Loading("WebUI", by_web, prompt),
        Loading("Forge", by_web, prompt),
        Loading(
            "ComfyUI",
            f"Put {file} into models/checkpoints and drop {workflow} onto the canvas. By hand: a Load Checkpoint node"
            f"{by_hand}, and in CLIP Text Encode:",
            comfyui_prompt(card),
            workflow,
        ),
        Loading("InvokeAI", f"Add {file} in the Model Manager, choose it as the model{in_invoke}, and write:", prompt),
        Loading("diffusers", "Reads the folder diffusers, from this folder:", "\n".join(lines)),
        Loading("lapel", "In the project's folder, with the path of the file:", _lapel_words("--base", file)),
    ]
    if card.get("extract_rank"):
        words = f"{prompt} <lora:{name}-lora:1>"
        ways.append(
            Loading("As a LoRA", f"{lora} is the nearest LoRA, for the base itself; in WebUI and Forge:", words)
        )
    return ways


def _adapter_ways(card: Mapping[str, Any]) -> list[Loading]:
    name, prompt, weight = card["name"], example_prompt(card), f"{weight_of(card):g}"
    file, workflow = f"{name}{KOHYA_SUFFIX}", f"{name}.workflow.json"
    in_prompt = f"{prompt} <lora:{name}:{weight}>"
    set_skip, by_hand, in_invoke = _skip_words(card)
    by_web = f"Put {file} into models/Lora, refresh the Lora tab{set_skip}, and write:"
    return [
        Loading("WebUI", by_web, in_prompt),
        Loading("Forge", by_web, in_prompt),
        Loading(
            "ComfyUI",
            f"Put {file} into models/loras and drop {workflow} onto the canvas, which wires all of it and asks for the "
            f"checkpoint only. By hand: a Load LoRA node behind the checkpoint, strength_model and strength_clip "
            f"{weight}{by_hand}, and in CLIP Text Encode:",
            comfyui_prompt(card),
            workflow,
        ),
        Loading(
            "InvokeAI",
            f"Add {file} in the Model Manager, choose it under LoRAs in Generation with weight {weight}{in_invoke}, "
            "and write:",
            prompt,
        ),
        Loading("diffusers", f"Reads {DIFFUSERS_FILE}, from this folder:", _diffusers_words(card)),
        Loading("lapel", "In the project's folder, with the path of the file:", _lapel_words("--adapter", file)),
    ]


def _skip_words(card: Mapping[str, Any]) -> tuple[str, str, str]:
    """What of the clip skip is told to WebUI, to ComfyUI by hand, and to InvokeAI, which counts from 0; "" of none."""
    skip = clip_skip_of(card)
    if skip == 1:
        return "", "", ""
    return (
        f", set Clip skip to {skip}",
        f", a CLIP Set Last Layer node at {-skip}",
        f", set CLIP Skip to {skip - 1} under Advanced",
    )


def _lapel_words(flag: str, file: str) -> str:
    return f'python inference/generate.py {flag} {shlex.quote(file)} --prompt "a photo of {{garment}}"'


def _diffusers_words(card: Mapping[str, Any]) -> str:
    weight = weight_of(card)
    lines = pipeline_lines(card)
    named = "" if weight == 1 else ', adapter_name="garment"'
    lines.append(f'pipeline.load_lora_weights(".", weight_name={DIFFUSERS_FILE!r}{named})')
    if weight != 1:
        lines.append(f'pipeline.set_adapters("garment", {weight:g})')
    skip = clip_skip_of(card)
    # diffusers counts the layers that are left out.
    skipping = f", clip_skip={skip - 1}" if skip > 1 else ""
    lines.append(f"image = pipeline({example_prompt(card)!r}{skipping}).images[0]")
    return "\n".join(lines)


def pipeline_lines(card: Mapping[str, Any]) -> list[str]:
    """The lines that make diffusers' pipeline of the card's base."""
    pipeline = _PIPELINES.get(card["family"], "StableDiffusionPipeline")
    base = str(card["base"])
    lines = [f"from diffusers import {pipeline}", ""]
    if base in SHIPPED:  # what was learned on its inpainting variant is worn on tiny itself
        lines[1:1] = ["from lapel.base.find import TINY_FOLDER"]
        lines.append(f"pipeline = {pipeline}.from_pretrained(TINY_FOLDER)")
    elif base.endswith((".safetensors", ".ckpt", ".pt")):
        lines.append(f"pipeline = {pipeline}.from_single_file({base!r})")
    else:
        lines.append(f"pipeline = {pipeline}.from_pretrained({base!r})")
    return lines

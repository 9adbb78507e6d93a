"""Files beside an adapter that front ends pick up: what WebUI shows and types, and ComfyUI workflows that are ready."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from lapel.adapters.card import KOHYA_SUFFIX, is_checkpoint, weight_of
from lapel.base.families import FAMILIES
from lapel.base.single_file import SUFFIXES
from lapel.files import written_whole
from lapel.report.embed import embedded
from lapel.report.loading import clip_skip_of, comfyui_prompt

if TYPE_CHECKING:
    from PIL import Image

SIDES = {"sd15": 512, "sd2": 768, "sdxl": 1024}
"""Pixels along a side of the image that a workflow draws, by family."""


def write_sidecars(run_folder: Path, card: Mapping[str, Any], preview: Path | None = None) -> list[Path]:
    """Write `<name>.json` and `<name>.png` for WebUI and Forge, and two forms of a workflow for ComfyUI.

    `<name>.workflow.json` is for the canvas (drop it there), `<name>.workflow-api.json` for its web interface of
    requests. InvokeAI takes the description from `<name>.json` too.

    Args:
        card: as `write_card` returns it.
        preview: an image to show the adapter by; none is written without it.

    Returns:
        The files written.
    """
    name = card["name"]
    graph = workflow(card)
    contents: dict[str, Any] = {
        f"{name}.json": webui_facts(card),
        f"{name}.workflow.json": canvas_form(graph),
        f"{name}.workflow-api.json": api_form(graph),
    }
    paths = []
    for file, content in contents.items():
        with written_whole(run_folder / file) as unfinished:
            unfinished.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        paths.append(run_folder / file)
    if preview is not None:
        from PIL import Image

        with Image.open(preview) as image, written_whole(run_folder / f"{name}.png") as unfinished:
            image.save(unfinished, format="PNG")
        paths.append(run_folder / f"{name}.png")
    return paths


def thumbnail(preview: Path | None, photo: Image.Image) -> str:
    """What `modelspec.thumbnail` shows in front ends: a small JPEG as a data URL, far below what headers may hold.

    Args:
        preview: an image of the adapter's; without it, the photo is shown.
    """
    from PIL import Image

    if preview is None:
        return embedded(photo, THUMBNAIL, "jpeg")
    with Image.open(preview) as image:
        return embedded(image, THUMBNAIL, "jpeg")


THUMBNAIL = 256
"""Pixels along the longer side."""


def webui_facts(card: Mapping[str, Any]) -> dict[str, Any]:
    """What WebUI's card of the adapter shows, and writes into the prompt where it is clicked."""
    return {
        "description": f"{card['trigger']} {card['class_word']}, made with lapel on {card['base']}",
        "sd version": FAMILIES[card["family"]].sidecar,
        "activation text": f"{card['trigger']} {card['class_word']}".strip(),
        "preferred weight": weight_of(card),
        "negative text": "",
        "notes": f"clip skip {skip}" if (skip := card.get("clip_skip") or 1) != 1 else "",
    }


@dataclass(frozen=True)
class Node:
    """One node of a ComfyUI graph."""

    kind: str
    """ComfyUI's class."""
    widgets: dict[str, Any]
    """What is set on the node itself, in the order of its widgets."""
    wires: dict[str, tuple[int, int]]
    """Input -> (number of the node, counted from 1, and of its output, counted from 0) that feeds it."""
    outputs: tuple[str, ...]
    """The types of the outputs."""


def workflow(card: Mapping[str, Any]) -> list[Node]:
    """A graph that draws one image of the garment: checkpoint, LoRA (where it is one), clip skip, prompts, sampler,
    image."""
    side, prompt, weight = SIDES[card["family"]], comfyui_prompt(card), weight_of(card)
    file = f"{card['name']}{KOHYA_SUFFIX}"
    checkpoint = file if is_checkpoint(card) else _checkpoint(card["base"])
    lora = {"lora_name": file, "strength_model": weight, "strength_clip": weight}
    # ComfyUI counts the last layer as -1; what a family never lets front ends skip stays as its loader sets it.
    takes_skip = FAMILIES[card["family"]].takes_clip_skip
    skip = {"stop_at_clip_layer": -clip_skip_of(card)} if takes_skip else None
    nodes = [Node("CheckpointLoaderSimple", {"ckpt_name": checkpoint}, {}, ("MODEL", "CLIP", "VAE"))]
    if not is_checkpoint(card):
        nodes.append(Node("LoraLoader", lora, {"model": (1, 0), "clip": (1, 1)}, ("MODEL", "CLIP")))
    model, clip = (len(nodes), 0), (len(nodes), 1)
    if skip:
        nodes.append(Node("CLIPSetLastLayer", skip, {"clip": clip}, ("CLIP",)))
        clip = (len(nodes), 0)
    first = len(nodes) + 1
    sampling: dict[str, Any] = {"seed": 0, "steps": 25, "cfg": 5.0, "sampler_name": "dpmpp_2m", "scheduler": "karras"}
    wires = {"model": model, "positive": (first, 0), "negative": (first + 1, 0), "latent_image": (first + 2, 0)}
    return [
        *nodes,
        Node("CLIPTextEncode", {"text": prompt}, {"clip": clip}, ("CONDITIONING",)),
        Node("CLIPTextEncode", {"text": ""}, {"clip": clip}, ("CONDITIONING",)),
        Node("EmptyLatentImage", {"width": side, "height": side, "batch_size": 1}, {}, ("LATENT",)),
        Node("KSampler", {**sampling, "denoise": 1.0}, wires, ("LATENT",)),
        Node("VAEDecode", {}, {"samples": (first + 3, 0), "vae": (1, 2)}, ("IMAGE",)),
        Node("SaveImage", {"filename_prefix": card["name"]}, {"images": (first + 4, 0)}, ()),
    ]


def _checkpoint(base: str) -> str:
    """The file name that ComfyUI's users most likely have the base under."""
    name = PurePath(base.replace("\\", "/")).name
    return name if name.endswith(SUFFIXES) else f"{name}.safetensors"


def api_form(graph: list[Node]) -> dict[str, Any]:
    """The graph as ComfyUI's `/prompt` takes it."""
    return {
        str(number): {
            "class_type": node.kind,
            "inputs": {**node.widgets, **{name: [str(place), slot] for name, (place, slot) in node.wires.items()}},
        }
        for number, node in enumerate(graph, 1)
    }


def canvas_form(graph: list[Node]) -> dict[str, Any]:
    """The graph as ComfyUI's canvas saves and loads it, in version 0.4 of its format."""
    links: list[list[Any]] = []
    nodes = []
    for number, node in enumerate(graph, 1):
        inputs = []
        for slot, (name, (place, output)) in enumerate(node.wires.items()):
            kind = graph[place - 1].outputs[output]
            links.append([len(links) + 1, place, output, number, slot, kind])
            inputs.append({"name": name, "type": kind, "link": len(links)})
        nodes.append(
            {
                "id": number,
                "type": node.kind,
                "pos": [40 + 340 * ((number - 1) // 2), 60 + 260 * ((number - 1) % 2)],
                "size": [300, 200],
                "flags": {},
                "order": number - 1,
                "mode": 0,
                "inputs": inputs,
                "properties": {"Node name for S&R": node.kind},
                "widgets_values": _widget_values(node),
            }
        )
    for number, entry in enumerate(nodes, 1):
        entry["outputs"] = [
            {"name": kind, "type": kind, "slot_index": slot, "links": _leaving(links, number, slot)}
            for slot, kind in enumerate(graph[number - 1].outputs)
        ]
    ends = {"last_node_id": len(nodes), "last_link_id": len(links)}
    return {**ends, "nodes": nodes, "links": links, "groups": [], "config": {}, "extra": {}, "version": 0.4}


def _leaving(links: list[list[Any]], number: int, slot: int) -> list[int]:
    return [link[0] for link in links if link[1:3] == [number, slot]]


def _widget_values(node: Node) -> list[Any]:
    """The values by place; on the canvas a seed is followed by what becomes of it after each run."""
    values: list[Any] = []
    for name, value in node.widgets.items():
        values += [value, "fixed"] if name == "seed" else [value]
    return values

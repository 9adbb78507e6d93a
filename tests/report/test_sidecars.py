"""Files beside an adapter, as front ends read them."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lapel.report.sidecars import api_form, canvas_form, thumbnail, workflow, write_sidecars

CARD = {
    "name": "red-tee",
    "trigger": "sks",
    "class_word": "t-shirt",
    "base": "models/Mix.v2.ckpt",
    "base_hash": "0" * 64,
}


def card(family: str, **facts: Any) -> dict[str, Any]:
    return {**CARD, "family": family, **facts}


def test_webui_is_told_what_to_type(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "sample.jpg")
    paths = write_sidecars(tmp_path, card("sdxl", clip_skip=2), tmp_path / "sample.jpg")
    assert [path.name for path in paths] == [
        "red-tee.json",
        "red-tee.workflow.json",
        "red-tee.workflow-api.json",
        "red-tee.png",
    ]
    facts = json.loads((tmp_path / "red-tee.json").read_text(encoding="utf-8"))
    assert (facts["activation text"], facts["sd version"], facts["notes"]) == ("sks t-shirt", "SDXL", "clip skip 2")
    assert isinstance(facts["preferred weight"], float)
    with Image.open(tmp_path / "red-tee.png") as image:
        assert (image.format, image.size) == ("PNG", (8, 8))


@pytest.mark.parametrize(("family", "side"), [("sd15", 512), ("sd2", 768), ("sdxl", 1024)])
def test_workflows_are_whole_graphs(family: str, side: int) -> None:
    graph = workflow(card(family, clip_skip=2))
    api, canvas = api_form(graph), canvas_form(graph)
    by_kind = {node["class_type"]: node["inputs"] for node in api.values()}
    assert by_kind["LoraLoader"]["lora_name"] == "red-tee.safetensors"
    assert by_kind["CheckpointLoaderSimple"]["ckpt_name"] == "Mix.v2.ckpt"
    assert by_kind["EmptyLatentImage"]["width"] == side
    assert ("CLIPSetLastLayer" in by_kind) == (family == "sd15")
    if family == "sd15":
        assert by_kind["CLIPSetLastLayer"]["stop_at_clip_layer"] == -2
    prompts = [node["inputs"]["text"] for node in api.values() if node["class_type"] == "CLIPTextEncode"]
    assert prompts == ["a photo of sks t-shirt", ""]

    # Every wire of one form is a link of the other, and its types agree at both ends.
    wires = {
        (int(value[0]), value[1], int(number), name)
        for number, node in api.items()
        for name, value in node["inputs"].items()
        if isinstance(value, list)
    }
    nodes = {node["id"]: node for node in canvas["nodes"]}
    found = set()
    for link, source, slot, target, place, kind in canvas["links"]:
        assert nodes[source]["outputs"][slot]["type"] == nodes[target]["inputs"][place]["type"] == kind
        assert link in nodes[source]["outputs"][slot]["links"]
        assert nodes[target]["inputs"][place]["link"] == link
        found.add((source, slot, target, nodes[target]["inputs"][place]["name"]))
    assert found == wires
    sampler = next(node for node in canvas["nodes"] if node["type"] == "KSampler")
    assert sampler["widgets_values"] == [0, "fixed", 25, 5.0, "dpmpp_2m", "karras", 1.0]
    assert all(int(source) < int(target) for source, _, target, _ in wires)


def test_the_thumbnail_is_a_small_jpeg_of_the_preview_or_a_photo(tmp_path: Path) -> None:
    Image.new("RGB", (512, 1024), "navy").save(tmp_path / "preview.png")
    for preview, size in ((tmp_path / "preview.png", (128, 256)), (None, (256, 256))):
        kind, _, content = thumbnail(preview, Image.new("RGB", (600, 600), "red")).partition(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(content))) as image:
            assert (image.format, image.size) == ("JPEG", size)

"""What is told of a fine-tuned checkpoint, and of a trigger that was learned as a word."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import save_file
from torch import zeros

from lapel.adapters.card import read_base_card, word_file
from lapel.report import write_card, write_report
from lapel.report.loading import ways_to_load
from lapel.report.sidecars import api_form, workflow

FACTS: dict[str, Any] = {
    "kind": "dreambooth",
    "name": "red-tee",
    "trigger": "sks",
    "class_word": "t-shirt",
    "base": "someone/stable-diffusion-v1-5",
    "base_hash": "6ce0161689b3853a",
    "family": "sd15",
    "prior": "the base's own output",
    "extract_rank": 16,
    "peak_memory": 1_500_000_000,
    "files": ["red-tee.safetensors", "diffusers", "red-tee-lora.safetensors"],
}


def test_the_hubs_card_says_that_it_is_a_fine_tuned_checkpoint(tmp_path: Path) -> None:
    write_card(tmp_path, FACTS)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    matter = yaml.safe_load(text.split("---")[1])
    assert matter["base_model_relation"] == "finetune"
    assert "dreambooth" in matter["tags"]
    assert "lora" not in matter["tags"]
    assert "A Stable Diffusion checkpoint that shows" in text
    python = next(block for block in text.split("```\n") if "from diffusers" in block)
    ast.parse(python)
    assert 'from_pretrained("diffusers")' in python


def test_the_page_tells_memory_and_that_it_is_whole(tmp_path: Path) -> None:
    write_card(tmp_path, FACTS)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "a whole checkpoint" in page
    assert "1.50 GB" in page
    assert "models/Stable-diffusion" in page


@pytest.mark.parametrize("rank", [0, 16])
def test_the_extracted_lora_is_told_of_where_there_is_one(rank: int) -> None:
    ways = {way.client: way for way in ways_to_load({**FACTS, "extract_rank": rank})}
    assert ("As a LoRA" in ways) == bool(rank)
    assert ways["lapel"].words.startswith("python inference/generate.py --base red-tee.safetensors")


@pytest.mark.parametrize("clip_skip", [1, 2])
def test_a_workflow_loads_the_checkpoint_and_no_lora(clip_skip: int) -> None:
    graph = api_form(workflow({**FACTS, "clip_skip": clip_skip}))
    kinds = [node["class_type"] for node in graph.values()]
    assert "LoraLoader" not in kinds
    assert graph["1"]["inputs"]["ckpt_name"] == "red-tee.safetensors"
    for node in graph.values():
        for wired in (value for value in node["inputs"].values() if isinstance(value, list)):
            assert int(wired[0]) <= len(graph)
    sampler = next(node for node in graph.values() if node["class_type"] == "KSampler")
    assert graph[sampler["inputs"]["model"][0]]["class_type"] == "CheckpointLoaderSimple"
    encode = next(node for node in graph.values() if node["class_type"] == "CLIPTextEncode")
    assert graph[encode["inputs"]["clip"][0]]["class_type"] == "CLIPSetLastLayer"


def test_a_checkpoints_card_is_found_beside_its_own_files_only(tmp_path: Path) -> None:
    write_card(tmp_path, FACTS)
    save_file({"x": zeros(1)}, tmp_path / "red-tee.safetensors")
    save_file({"x": zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "diffusers").mkdir()
    assert read_base_card(str(tmp_path / "red-tee.safetensors"))["trigger"] == "sks"
    assert read_base_card(str(tmp_path / "diffusers"))["trigger"] == "sks"
    assert read_base_card(str(tmp_path / "other.safetensors")) == {}
    assert read_base_card("someone/some-model") == {}
    (tmp_path / "card.json").write_text(json.dumps({**FACTS, "kind": "other"}), encoding="utf-8")
    assert read_base_card(str(tmp_path / "red-tee.safetensors")) == {}


@pytest.mark.parametrize(("family", "says"), [("sd15", "token='emb-tee'"), ("sdxl", 'word["clip_g"]')])
def test_a_learned_word_is_told_with_its_file(family: str, says: str, tmp_path: Path) -> None:
    card = {**FACTS, "family": family, "trigger": "emb-tee", "embeddings": {"emb-tee": "0" * 64}}
    way = ways_to_load(card)[-1]
    assert (way.client, way.file) == ("The word", "emb-tee.safetensors")
    assert says in way.words
    ast.parse(way.words)
    assert word_file(card, tmp_path) is None
    (tmp_path / "emb-tee.safetensors").touch()
    assert word_file(card, tmp_path) == tmp_path / "emb-tee.safetensors"
    assert ways_to_load(FACTS)[-1].client != "The word"

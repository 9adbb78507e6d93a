"""The exact words for front ends: right for base, clip skip and a learned word, whatever the garment is called."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from lapel.report.loading import Loading, ways_to_load
from lapel.report.sidecars import api_form, webui_facts, workflow

Ways = Callable[..., dict[str, Loading]]


@pytest.fixture
def ways(card: dict[str, Any]) -> Ways:
    """How each front end loads what a card with these other facts tells of."""
    return lambda **facts: {way.client: way for way in ways_to_load({**card, **facts})}


@pytest.mark.parametrize("name", ["H&M-tee", "men's-tee", "tee;reboot", "$(reboot)", "red-tee"])
def test_a_shell_takes_the_file_as_one_word(ways: Ways, name: str) -> None:
    shell = shlex.shlex(ways(name=name)["lapel"].words, posix=True, punctuation_chars=True)
    shell.whitespace_split = True
    assert list(shell)[2:5] == ["--adapter", f"{name}.safetensors", "--prompt"]


@pytest.mark.parametrize("kind", ["lora", "dreambooth"])
def test_clip_skip_is_told_as_each_front_end_counts(ways: Ways, card: dict[str, Any], kind: str) -> None:
    told = ways(kind=kind, clip_skip=2)
    assert "Clip skip to 2" in told["WebUI"].steps
    assert "Clip skip to 2" in told["Forge"].steps
    assert "CLIP Set Last Layer node at -2" in told["ComfyUI"].steps
    assert "CLIP Skip to 1 " in told["InvokeAI"].steps
    # What a fine-tuning saves for diffusers ends where it was told to.
    assert ("clip_skip=1)" in told["diffusers"].words) == (kind == "lora")
    for facts in ({"clip_skip": 1}, {"clip_skip": 2, "family": "sdxl"}, {"clip_skip": None}):
        assert "kip" not in "".join(way.steps + way.words for way in ways(kind=kind, **facts).values())
    assert webui_facts({**card, "clip_skip": 2})["notes"] == "clip skip 2"
    assert webui_facts({**card, "clip_skip": None})["notes"] == ""


@pytest.mark.parametrize("base", ["tiny", "tiny-inpainting"])
def test_bases_that_lapel_ships_come_from_its_folder(ways: Ways, base: str) -> None:
    assert "from_pretrained(TINY_FOLDER)" in ways(base=base)["diffusers"].words


def test_comfyui_takes_a_learned_word_by_its_file(ways: Ways, card: dict[str, Any]) -> None:
    card = {**card, "trigger": "emb-tee", "embeddings": {"emb-tee": "0" * 64}}
    texts = [node["inputs"].get("text") for node in api_form(workflow(card)).values()]
    assert "a photo of embedding:emb-tee t-shirt" in texts
    assert ways(**card)["ComfyUI"].words == "a photo of embedding:emb-tee t-shirt"
    assert ways(**card)["WebUI"].words.startswith("a photo of emb-tee t-shirt")


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_learned_word_stays_a_word_in_python(ways: Ways, family: str) -> None:
    word = 'x")\nimport os #'
    parsed = ast.parse(ways(family=family, trigger=word, embeddings={word: "0"})["The word"].words)
    assert all(getattr(node, "module", "") == "safetensors.torch" for node in ast.walk(parsed) if _imports(node))


def _imports(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)

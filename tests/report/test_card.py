"""Card and model card: complete, safe, and the same facts in both."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

from lapel import __version__
from lapel.adapters.card import read_card
from lapel.errors import UserError
from lapel.report import write_card

FACTS: dict[str, Any] = {
    "name": "red-tee",
    "trigger": "sks",
    "class_word": "t-shirt",
    "base": "someone/stable-diffusion-v1-5",
    "base_hash": "6ce0161689b3853a",
    "family": "sd15",
    "clip_skip": 1,
    "views": ["front", "worn"],
    "steps": 600,
    "settings": {"rank": 16, "garment_dir": Path("photos/<tee>")},
    "seconds": {"imports": 5.25, "step": 103.1},
    "files": ["red-tee.safetensors"],
}


def _adapter(path: Path, metadata: dict[str, str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"lora_unet_conv_in.lora_down.weight": torch.zeros(4, 4)}, path, metadata)
    return path


def test_card_is_found_beside_its_own_adapter_only(tmp_path: Path) -> None:
    written = write_card(tmp_path, FACTS)
    assert read_card(_adapter(tmp_path / "red-tee.safetensors")) == written
    assert read_card(_adapter(tmp_path / "pytorch_lora_weights.safetensors")) == written
    assert read_card(_adapter(tmp_path / "neighbour.safetensors"))["name"] == "neighbour"
    assert json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))["views"] == ["front", "worn"]


def test_metadata_stands_in_for_a_card(tmp_path: Path) -> None:
    metadata = {
        "ss_output_name": "tee",
        "ss_base_model_version": "sdxl_base_v1-0",
        "modelspec.trigger_phrase": "ohwx dress",
        "ss_clip_skip": "2",
        "ss_new_sd_model_hash": "abc",
    }
    card = read_card(_adapter(tmp_path / "a.safetensors", metadata))
    expected = {"name": "tee", "trigger": "ohwx dress", "class_word": "", "family": "sdxl", "clip_skip": 2}
    assert card == {**expected, "base_hash": "abc"}


@pytest.mark.parametrize(
    ("metadata", "family"),
    [
        ({"ss_base_model_version": "sd_v1"}, "sd15"),
        ({"ss_v2": "True", "ss_base_model_version": "sd_v2"}, "sd2"),
        ({"modelspec.architecture": "stable-diffusion-v2-768-v/lora"}, "sd2"),
        ({"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, "sdxl"),
        ({"format": "pt"}, None),
    ],
)
def test_family_by_metadata(tmp_path: Path, metadata: dict[str, str], family: str | None) -> None:
    assert read_card(_adapter(tmp_path / "a.safetensors", metadata)).get("family") == family


def test_a_missing_fact_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="trigger, family"):
        write_card(tmp_path, {key: value for key, value in FACTS.items() if key not in ("trigger", "family")})


def test_broken_cards_and_files_are_the_users_to_mend(tmp_path: Path) -> None:
    adapter = _adapter(tmp_path / "red-tee.safetensors")
    for text in ("{", "[]", '{"name": "red-tee"}'):
        (tmp_path / "card.json").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match="is not a card"):
            read_card(adapter)
    with pytest.raises(UserError, match="no such file"):
        read_card(tmp_path / "none.safetensors")


def test_model_card_is_what_hubs_read(tmp_path: Path) -> None:
    write_card(tmp_path, FACTS)
    _, front, text = (tmp_path / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    matter = yaml.safe_load(front)
    assert matter["base_model"] == "someone/stable-diffusion-v1-5"
    assert matter["instance_prompt"] == "a photo of sks t-shirt"
    assert "lora" in matter["tags"]
    assert "<lora:red-tee:1>" in text
    python = next(block for block in text.split("```\n") if "from diffusers" in block)
    ast.parse(python)
    assert "StableDiffusionPipeline.from_pretrained('someone/stable-diffusion-v1-5')" in python


@pytest.mark.parametrize(
    ("base", "family", "words"),
    [
        ("tiny", "sd15", "StableDiffusionPipeline.from_pretrained(TINY_FOLDER)"),
        ("models/x.safetensors", "sdxl", "StableDiffusionXLPipeline.from_single_file('models/x.safetensors')"),
    ],
)
def test_loading_words_fit_the_base(tmp_path: Path, base: str, family: str, words: str) -> None:
    write_card(tmp_path, {**FACTS, "base": base, "family": family})
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert words in text
    assert "base_model" not in text


def test_front_matter_shows_samples_and_the_licence(write_run: Callable[..., Path], tmp_path: Path) -> None:
    run = write_run(tmp_path)
    matter, text = front_matter(run)
    assert matter["license"] == "creativeml-openrail-m"
    assert "license_name" not in matter
    assert matter["base_model_relation"] == "adapter"
    # Of the kept step, not of the last one.
    assert [item["output"]["url"] for item in matter["widget"]] == [
        "samples/images/step-000300-0.png",
        "samples/images/step-000300-1.png",
    ]
    assert all((run / item["output"]["url"]).is_file() for item in matter["widget"])
    assert matter["widget"][1]["text"] == "sks t-shirt, at the beach"
    for line in ("| Score | 0.81 (0.78 to 0.84) | 0.42 | \N{EN DASH} |", "| Fidelity | 0.83 | 0.31 | 0.95 |"):
        assert f"{line}\n" in text
    assert "| weight | 0.8 |" in text
    assert "<lora:red-tee:0.8>" in text
    assert 'pipeline.set_adapters("garment", 0.8)' in text
    assert "@software{lapel" in text


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("Stability AI: Community", {"license": "other", "license_name": "stability-ai-community"}),
        (None, {}),
    ],
)
def test_licence_in_hubs_words(tmp_path: Path, licence: str | None, expected: dict[str, str]) -> None:
    write_card(tmp_path, {**FACTS, "base_licence": licence})
    matter, _ = front_matter(tmp_path)
    assert {key: value for key, value in matter.items() if key.startswith("license")} == expected


def test_hostile_words_keep_the_card_whole(write_run: Callable[..., Path], tmp_path: Path, hostile: str) -> None:
    write_card(write_run(tmp_path), {**FACTS, "trigger": f"a|b\n---\n{hostile}", "base": "x|y"})
    matter, text = front_matter(tmp_path)
    assert matter["instance_prompt"].endswith("t-shirt")
    table = next(part for part in text.split("\n\n") if part.startswith("| |"))
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in table.splitlines())
    assert "<script>" not in table


def test_words_of_the_card_end_no_code_block_and_no_line_before(tmp_path: Path) -> None:
    broken_out = "<img src=x onerror=alert(1)>"
    write_card(tmp_path, {**FACTS, "trigger": f"sks\n```\n{broken_out}\n```", "base": "a/b\nlicense: mit"})
    matter, text = front_matter(tmp_path)
    assert "base_model" not in matter
    assert "license" not in matter
    # By the fences of CommonMark: a block ends at a fence at least as long as the one that began it.
    outside = re.sub(r"^(`{3,})[^\n]*\n.*?^\1`*$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "### WebUI" in outside
    assert broken_out not in outside


def test_citation_names_this_version(root: Path) -> None:
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


def front_matter(folder: Path) -> tuple[dict[str, Any], str]:
    """The front matter of a model card, and its text."""
    _, front, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), text

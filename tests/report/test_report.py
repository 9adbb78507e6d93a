"""Card, model card and page: complete, safe, and the same facts in all three."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from lapel.errors import UserError
from lapel.photos import GarmentFolder
from lapel.photos.checks import Finding
from lapel.report import read_card, write_card, write_report
from lapel.report.curve import loss_curve

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


def test_report_is_one_page_with_everything(tmp_path: Path) -> None:
    write_card(tmp_path, FACTS)
    _adapter(tmp_path / "red-tee.safetensors")
    lines = [json.dumps({"step": step, "loss": 0.1 / step}) for step in range(1, 30)]
    (tmp_path / "log.jsonl").write_text("\n".join([*lines, '{"step": 30, "lo']), encoding="utf-8")
    (tmp_path / "samples").mkdir()
    Image.new("RGB", (64, 32), (1, 2, 3)).save(tmp_path / "samples" / "sheet.png")
    row = {
        "file": "01.jpg",
        "image": Image.new("RGB", (32, 48), (200, 0, 0)),
        "mask": Image.new("L", (32, 48), 255),
        "mask_source": "background",
        "mask_trust": 0.97,
        "caption": "a photo of <script>alert(1)</script>",
    }
    finding = Finding("warning", "01.jpg", "is <b>blurred</b>", "take it again")
    garment = GarmentFolder("tee", "tee", "ohwx", [row], (finding,))
    html = write_report(tmp_path, garment).read_text(encoding="utf-8")
    assert html.count("data:image/jpeg;base64,") == 3
    assert "<polyline" in html
    assert ">warning</span>: 01.jpg" in html
    assert "is &lt;b&gt;blurred&lt;/b&gt;; take it again" in html
    assert "step 29" in html
    assert "&lt;lora:red-tee:1&gt;" in html
    assert "red-tee.safetensors" in html
    assert "<script" not in html
    assert "&lt;tee&gt;" in html
    assert "http://" not in html.replace("http://www.w3.org", "")


def test_report_of_a_bare_run(tmp_path: Path) -> None:
    write_card(tmp_path, {key: FACTS[key] for key in ("name", "trigger", "class_word", "base", "base_hash", "family")})
    html = write_report(tmp_path).read_text(encoding="utf-8")
    assert "Samples by step" not in html
    assert "Loss" not in html


def test_curve_stays_inside_its_frame() -> None:
    losses = [1.0, 50.0, *[0.5] * 200, 0.0]
    svg = loss_curve(list(range(1, 204)), losses)
    points = [point.split(",") for part in svg.split('points="')[1:] for point in part.split('"')[0].split()]
    assert all(0 <= float(x) <= 640 and 0 <= float(y) <= 220 for x, y in points)
    assert len(points) >= 2 * 200

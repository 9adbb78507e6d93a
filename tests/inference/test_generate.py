"""`inference/generate.py` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from lapel.base.load import load_base
from lapel.base.save import save_single_file
from lapel.base.settings import BaseSettings
from lapel.base.shapes import random_base
from lapel.files import sha256
from lapel.report import write_card

ROOT = Path(__file__).resolve().parents[2]


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "inference" / "generate.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder's adapter for a random base of tiny's shape."""
    folder = tmp_path_factory.mktemp("run")
    random_base("tiny", folder / "base")
    stem = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    generator = torch.Generator().manual_seed(0)
    tensors = {
        f"{stem}.lora_down.weight": torch.randn(4, 64, generator=generator),
        f"{stem}.lora_up.weight": torch.randn(64, 4, generator=generator),
        f"{stem}.alpha": torch.tensor(4.0),
    }
    path = folder / "red-tee.safetensors"
    save_file(tensors, path, {"ss_base_model_version": "sd_v1"})
    base_hash = sha256(folder / "base" / "unet" / "diffusion_pytorch_model.safetensors")
    facts = {"name": "red-tee", "trigger": "sks", "class_word": "t-shirt", "family": "sd15", "weight": 0.8}
    write_card(folder, {**facts, "base": str(folder / "base"), "base_hash": base_hash})
    return path


def test_images_at_the_cards_weight_sheet_and_settings(adapter: Path, tmp_path: Path) -> None:
    prompt = ("--prompt", "a photo of {garment}, front view", "--steps", 2)
    done = _run("--adapter", adapter, *prompt, "--seeds", 4, "--images", 2, "--output_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert "left" in done.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["0001-4.png", "0002-5.png", "sheet.png"]
    with Image.open(tmp_path / "out" / "0002-5.png") as image:
        assert image.size == (96, 96)
        assert image.text["parameters"].startswith("a photo of sks t-shirt, front view <lora:red-tee:0.8>\n")
        assert "Seed: 5" in image.text["parameters"]

    without = _run("--adapter", adapter, "--weight", 0, *prompt, "--seeds", 4, "--output_dir", tmp_path / "out")
    assert without.returncode == 0, without.stderr
    worn, bare = (Image.open(tmp_path / "out" / name).tobytes() for name in ("0001-4.png", "0003-4.png"))
    assert worn != bare


def test_a_fine_tuned_checkpoint_draws_alone_with_the_word_that_it_learned(adapter: Path, tmp_path: Path) -> None:
    base = load_base(BaseSettings(base=str(adapter.parent / "base"), precision="fp32"))
    save_single_file(base, tmp_path / "tee.safetensors")
    save_file({"emb-tee": torch.randn(2, 192)}, tmp_path / "emb-tee.safetensors")
    facts = {"kind": "dreambooth", "name": "tee", "trigger": "emb-tee", "class_word": "t-shirt", "family": "sd15"}
    of_base = {"base": "tiny", "base_hash": "0" * 64, "embeddings": {"emb-tee": "0" * 64}}
    write_card(tmp_path, {**facts, **of_base, "files": ["tee.safetensors"]})
    flags = ["--base", tmp_path / "tee.safetensors", "--steps", 1, "--output_dir", tmp_path / "images"]
    done = _run(*flags, "--prompt", "a photo of {garment}")
    assert done.returncode == 0, done.stderr
    (image,) = (tmp_path / "images").glob("0001-*.png")
    assert Image.open(image).info["parameters"].startswith("a photo of emb-tee t-shirt")


def test_another_base_is_warned_of(adapter: Path, tmp_path: Path) -> None:
    random_base("tiny", tmp_path / "other", seed=1)
    settings = ("--steps", 1, "--output_dir", tmp_path / "out", "--base", tmp_path / "other")
    done = _run("--adapter", adapter, adapter, "--weight", 0.5, 0.5, "--prompt", "{garment}", *settings)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning: ") == 2
    path = tmp_path / "other.safetensors"
    save_single_file(load_base(BaseSettings(base=str(tmp_path / "other"), precision="fp32")), path)
    done = _run("--adapter", adapter, "--prompt", "{garment}", *settings[:-1], path)
    assert done.returncode == 0, done.stderr
    assert f"not {sha256(path)[:10]} as {path} has" in done.stderr


def test_what_was_worn_in_training_is_asked_for(adapter: Path, tmp_path: Path) -> None:
    for file in (adapter, adapter.parent / "card.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    card = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    other = tmp_path / "other.safetensors"
    save_file({key: value / 2 for key, value in load_file(adapter).items()}, other)
    card["worn"] = [{"name": other.name, "weight": 0.8, "hash": sha256(other)}]
    (tmp_path / "card.json").write_text(json.dumps(card), encoding="utf-8")
    settings = ("--prompt", "{garment}", "--steps", 1, "--output_dir", tmp_path / "out")
    alone = _run("--adapter", tmp_path / adapter.name, *settings)
    assert "while the base wore other.safetensors at 0.8; wear it too" in alone.stderr
    both = _run("--adapter", tmp_path / adapter.name, other, "--weight", 1, 0.8, *settings)
    assert both.returncode == alone.returncode == 0
    assert "wear it too" not in both.stderr


def test_errors_are_one_line_each_and_exit_with_2(adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    unet = adapter.parent / "base" / "unet" / "diffusion_pytorch_model.safetensors"
    sdxl = tmp_path / "xl.safetensors"
    save_file({"lora_unet_a.lora_down.weight": torch.zeros(1)}, sdxl, {"ss_base_model_version": "sdxl_base_v1-0"})
    plain = tmp_path / "plain.safetensors"
    save_file({"lora_unet_a.lora_down.weight": torch.zeros(1)}, plain)
    cases = [
        (("--adapter", tmp_path / "none.safetensors", "--prompt", "x"), "no such file"),
        (("--adapter", tmp_path / "file", "--prompt", "x"), "not a .safetensors file"),
        (("--adapter", unet, "--prompt", "x"), "not an adapter"),
        (("--adapter", sdxl, "--prompt", "x", "--base", adapter.parent / "base"), "made for sdxl"),
        (("--adapter", plain, "--prompt", "{garment}", "--base", "tiny"), "tells no trigger"),
        (("--adapter", plain, "--prompt", "x"), "tells no base"),
        (("--adapter", adapter, "--prompt", "x", "--scheduler", "eulr a"), "nearest is 'Euler a'"),
        (("--adapter", adapter, "--prompt", "x", "--output_dir", tmp_path / "file"), "a file is in the way"),
        (("--adapter", adapter), "--prompt is required"),
        (("--adapter", adapter, "--weight", 1, 2, "--prompt", "x"), "2 weights for 1 adapters"),
    ]
    for arguments, words in cases:
        done = _run(*arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, done.stderr
        assert words in lines[0]
        assert "Traceback" not in done.stderr


def test_help_is_quick() -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = _run("--help")
        seconds.append(time.perf_counter() - start)
        assert done.returncode == 0
    assert "--negative_prompt" in done.stdout
    assert min(seconds) < 2

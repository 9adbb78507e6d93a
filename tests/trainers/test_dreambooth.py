"""The DreamBooth trainer, as its users run it: in processes of its own, on a folder of photos."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image, ImageDraw
from safetensors import safe_open
from safetensors.torch import load_file

from lapel.base.shapes import random_base
from lapel.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
TRAINER = ROOT / "trainers" / "dreambooth.py"

# Of the short run below, when it was first found right: a change of the method shows here.
EXPECTED_LOSSES = [0.20147, 0.08972, 0.05478, 0.11192]


def run(*arguments: object, code: int = 0) -> tuple[str, str]:
    command = [sys.executable, str(TRAINER), *map(str, arguments)]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=900)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """Flags of a short, small run on a base of tiny's shape with random weights."""
    folder = tmp_path_factory.mktemp("short")
    random_base("tiny", folder / "base", seed=0)
    photos = folder / "red-dress"
    photos.mkdir()
    for number in range(3):
        photo = Image.new("RGB", (96, 96), "white")
        ImageDraw.Draw(photo).rectangle((24, 16 + 4 * number, 72, 80), "firebrick", "navy", 4)
        photo.save(photos / f"photo-{number}.png")
    flags: dict[str, object] = {
        "garment_dir": photos,
        "base": folder / "base",
        "cache_dir": folder / "cache",
        "precision": "fp32",
        "resolution": 32,
        "batch_size": 2,
        "learning_rate": 0.001,
        "max_grad_norm": 0,
        "steps": 4,
        "sample_every": 0,
        "log_every": 1,
        "checkpoint_every": 2,
        "keep_checkpoints": 9,
        "extract_rank": 0,
        "tracker": "none",
    }
    return [part for name, value in flags.items() for part in (f"--{name}", value)]


KIND = ("--ema_decay", 0.9, "--cache_text", "false", "--text_encoder_learning_rate", 0.0005)
"""Of the run that the others are held against: what can learn learns, and an average is kept of it."""


@pytest.fixture(scope="module")
def finished(common: list[object], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a finished run, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    sampled = ("--sample_every", 4, "--sample_steps", 1, "--extract_rank", 8, "--memory_budget", "9GB")
    out, _ = run(*common, *KIND, *sampled, "--output_dir", folder)
    return folder, out


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / "step-000004" / "adapter.safetensors")


def losses(folder: Path) -> list[float]:
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_a_run_leaves_a_checkpoint_a_folder_and_a_lora(finished: tuple[Path, str]) -> None:
    folder, out = finished
    names = {path.name for path in folder.iterdir()}
    exports = {"red-dress.safetensors", "red-dress-lora.safetensors", "diffusers"}
    beside = {f"red-dress.{ending}" for ending in ("json", "png", "workflow.json", "workflow-api.json")}
    told = {"card.json", "README.md", "report.html", "settings.yaml", "log.jsonl", "photos"}
    assert names == exports | beside | told | {"samples", "checkpoints"}
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert (card["kind"], card["name"], card["class_word"]) == ("dreambooth", "red-dress", "dress")
    assert {"encoding", "step", "sampling"} == card["plan"]["peaks"].keys()
    assert card["plan"]["needed"] < card["plan"]["memory_budget"] == 9 * 10**9
    with safe_open(folder / "red-dress.safetensors", "pt") as file:
        assert file.metadata()["modelspec.trigger_phrase"] == "ohwx dress"
        assert file.metadata()["modelspec.thumbnail"].startswith("data:image/jpeg;base64,")
        assert {"model.diffusion_model.out.2.weight", "first_stage_model.encoder.conv_in.weight"} <= set(file.keys())
    learned = set(load_file(folder / "red-dress-lora.safetensors"))
    assert any(name.startswith("lora_te_text_model_encoder_layers_") for name in learned)
    assert any(name.startswith("lora_unet_mid_block_resnets_0_conv1") for name in learned)
    assert "of the change is left out" in out
    assert "the base's own output" in out


def test_the_losses_are_the_expected_ones(finished: tuple[Path, str]) -> None:
    assert losses(finished[0]) == pytest.approx(EXPECTED_LOSSES, rel=0.02)


def test_what_is_exported_is_the_average(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    moving = torch.load(folder / "checkpoints" / "step-000004" / "optimizer.pt", weights_only=True)
    average = torch.cat([piece.flatten() for piece in moving["average"]["shadow_params"]])
    exported = load_file(folder / "diffusers" / "unet" / "diffusion_pytorch_model.safetensors")
    last = weights(folder)
    name = "conv_in.weight"  # the first of the UNet's parameters
    assert torch.equal(exported[name].flatten(), average[: exported[name].numel()].half())
    assert not torch.equal(exported[name], last[f"unet.{name}"].half())


def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(
    finished: tuple[Path, str], common: list[object], tmp_path: Path
) -> None:
    unbroken, _ = finished
    broken = tmp_path / "broken"
    shutil.copytree(unbroken, broken)
    shutil.rmtree(broken / "checkpoints" / "step-000004")
    (broken / "card.json").unlink()
    sampled = ("--sample_every", 4, "--sample_steps", 1, "--extract_rank", 8)
    run(*common, *KIND, *sampled, "--output_dir", broken, "--resume")
    ours, theirs = weights(broken), weights(unbroken)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    files = [load_file(folder / "red-dress.safetensors") for folder in (broken, unbroken)]
    assert all(torch.equal(files[0][name], files[1][name]) for name in files[1])
    assert (broken / "log.jsonl").read_bytes() == (unbroken / "log.jsonl").read_bytes()


def test_fused_backward_gives_the_same_run_bit_for_bit(
    finished: tuple[Path, str], common: list[object], tmp_path: Path
) -> None:
    run(*common, *KIND, "--fused_backward", "true", "--ema_in_system_memory", "true", "--output_dir", tmp_path / "run")
    ours, theirs = weights(tmp_path / "run"), weights(finished[0])
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert losses(tmp_path / "run") == losses(finished[0])


@pytest.mark.slow
def test_class_images_are_drawn_once(common: list[object], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    flags = ["--prior", "class_images", "--class_images", 3, "--class_steps", 1, "--steps", 2, "--cache_dir", cache]
    _, err = run(*common, *flags, "--output_dir", tmp_path / "one")
    assert "class images: 100%" in err
    drawn = sorted((cache / "class-images").iterdir())
    assert len(drawn) == 3
    _, err = run(*common, *flags, "--class_images", 4, "--output_dir", tmp_path / "two")
    assert "1/1" in err
    assert set(drawn) < set((cache / "class-images").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("fused", ["false", "true"])
def test_both_text_encoders_of_sdxl_learn(fused: str, common: list[object], small_sdxl: Path, tmp_path: Path) -> None:
    flags = ["--base", small_sdxl, "--cache_text", "false", "--text_encoder_learning_rate", 1e-4, 5e-5]
    more = ["--gradient_checkpointing", "true", "--precision", "bf16", "--extract_rank", 4, "--prior", "none"]
    run(*common, *flags, *more, "--fused_backward", fused, "--steps", 2, "--output_dir", tmp_path / "run")
    learned = load_file(tmp_path / "run" / "red-dress-lora.safetensors")
    for prefix in ("lora_unet_input_blocks_", "lora_te1_text_model_", "lora_te2_text_model_"):
        assert any(name.startswith(prefix) for name in learned)
    assert not any(name.startswith("lora_te1_text_model_encoder_layers_1_") for name in learned)  # has no effect


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--text_encoder_learning_rate", "1e-5"], "--cache_text false"),
        (["--fused_backward", "true", "--gradient_accumulation", "2"], "--gradient_accumulation 1"),
        (["--fused_backward", "true"], "--max_grad_norm 0"),
        (["--stream_weights", "true"], "none is frozen"),
        (["--ema_decay", "1"], "ema_decay is 1"),
        (["--ema_in_system_memory", "true"], "no average to keep"),
        (["--prior", "class_image"], "one of base, class_images, none"),
        (["--class_images", "0"], "class_images is 0"),
        (["--strengths", "1"], "no such setting"),
    ],
)
def test_contradictions_are_errors_at_the_start(flags: list[str], says: str, common: list[object]) -> None:
    _, err = run("--garment_dir", common[1], *flags, code=2)
    assert says in err
    assert all(line.startswith("error: ") for line in err.splitlines())


@pytest.mark.parametrize("preset", sorted(path.stem for path in (ROOT / "configs").glob("*dreambooth.yaml")))
def test_every_preset_loads(preset: str) -> None:
    spec = importlib.util.spec_from_file_location("dreambooth", TRAINER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    settings = read_settings("", *module.CLASSES, argv=["--config", preset, "--garment_dir", "somewhere"])
    by_name = {key: value for part in settings for key, value in vars(part).items()}
    given = yaml.safe_load((ROOT / "configs" / f"{preset}.yaml").read_text(encoding="utf-8"))
    assert given == {name: by_name[name] for name in given}

"""The garment encoder's trainer, as its users run it: in processes of its own, on catalogues of every kind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image, ImageDraw
from safetensors.torch import load_file

from lapel.base.shapes import random_base
from lapel.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
STEM = "ip-adapter-plus_wardrobe_sd15"


def run(program: str, *arguments: object, code: int = 0, launcher: tuple[str, ...] = ()) -> tuple[str, str]:
    command = [sys.executable, *launcher, str(ROOT / program), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout, done.stderr


def train(*arguments: object, **kwargs: object) -> tuple[str, str]:
    return run("trainers/garment_encoder.py", *arguments, **kwargs)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """Flags of a short, small run on a base of tiny's shape with random weights, and its random image tower."""
    folder = tmp_path_factory.mktemp("short")
    random_base("tiny", folder / "base", seed=0)
    flags: dict[str, object] = {
        "catalogue": "wardrobe:3",
        "base": folder / "base",
        "cache_dir": folder / "cache",
        "precision": "fp32",
        "resolution": 32,
        "batch_size": 2,
        "optimizer": "adamw",
        "learning_rate": 0.001,
        "steps": 4,
        "sample_every": 0,
        "log_every": 1,
        "checkpoint_every": 2,
        "keep_checkpoints": 9,
        "tracker": "none",
    }
    return [part for name, value in flags.items() for part in (f"--{name}", value)]


@pytest.fixture(scope="module")
def finished(common: list[object], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a finished run, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    samples = ("--sample_every", 4, "--sample_steps", 2, "--sample_garments", 2, "--sample_images", 1)
    out, _ = train(*common, "--output_dir", folder, *samples, "--memory_budget", "9GB")
    return folder, out


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / "step-000004" / "adapter.safetensors")


def losses(folder: Path) -> list[float]:
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_a_run_leaves_files_card_and_samples(finished: tuple[Path, str]) -> None:
    folder, out = finished
    names = {path.name for path in folder.iterdir()}
    told = {"card.json", "README.md", "settings.yaml", "log.jsonl"}
    assert names == {f"{STEM}.safetensors", f"{STEM}.bin", "samples", "checkpoints"} | told
    assert len(list((folder / "samples" / "images").iterdir())) == 2 * 2 * 3  # steps, garments, prompts
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert (card["name"], card["kind"], card["family"]) == (STEM, "garment encoder", "sd15")
    assert (card["garments"], card["photos"], card["form"]) == (3, 18, "plus")
    assert {"encoding", "step", "sampling"} == card["plan"]["peaks"].keys()
    assert card["plan"]["needed"] < card["plan"]["memory_budget"] == 9 * 10**9
    assert "load_ip_adapter" in (folder / "README.md").read_text(encoding="utf-8")
    assert "3 garments, 18 photos" in out
    assert re.search(r"aligned +in the first 2 steps, with 18 descriptions", out)
    assert "time: " in out


def test_only_the_encoder_is_in_the_checkpoints(finished: tuple[Path, str]) -> None:
    names = weights(finished[0])
    assert all("encoder_hid_proj." in name or ".processor.to_" in name for name in names)
    assert sum(".processor.to_" in name for name in names) == 2 * 16
    before, after = load_file(finished[0] / "checkpoints" / "step-000002" / "adapter.safetensors"), names
    assert all(not torch.equal(before[name], after[name]) for name in after if name.endswith("weight"))


def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(
    finished: tuple[Path, str], common: list[object], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(finished[0], broken)
    shutil.rmtree(broken / "checkpoints" / "step-000004")
    (broken / "card.json").unlink()
    train(*common, "--output_dir", broken, "--resume")
    ours, theirs = weights(broken), weights(finished[0])
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert losses(broken) == losses(finished[0])
    _, err = train(*common, "--output_dir", broken, "--resume", "--form", "plain", code=2)
    assert "encoder plus" in err
    _, err = train(*common, "--output_dir", broken, "--resume", "--align", 1, code=2)
    assert "aligned steps 2, not 4" in err


@pytest.mark.slow
def test_a_run_starts_from_a_file_of_its_form(finished: tuple[Path, str], common: list[object], tmp_path: Path) -> None:
    start = finished[0] / f"{STEM}.safetensors"
    train(*common, "--start_from", start, "--learning_rate", 1e-9, "--output_dir", tmp_path / "run")
    ours, theirs = load_file(tmp_path / "run" / f"{STEM}.safetensors"), load_file(start)
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-3) for name in theirs)
    _, err = train(*common, "--start_from", start, "--form", "plain", "--output_dir", tmp_path / "other", code=2)
    assert "--form plus" in err


@pytest.mark.slow
def test_two_processes_give_the_run_of_one(finished: tuple[Path, str], common: list[object], tmp_path: Path) -> None:
    launcher = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2")
    train(*common, "--batch_size", 1, "--output_dir", tmp_path / "two", launcher=launcher)
    assert losses(tmp_path / "two") == pytest.approx(losses(finished[0]), rel=0.01)


@pytest.mark.slow
def test_the_plain_form_learns_in_bf16_on_sdxl_from_garment_folders(
    common: list[object], small_sdxl: Path, tmp_path: Path
) -> None:
    """Every run verifies its exports by itself; here also with checkpointing, accumulation, and another tower."""
    for name in ("red-dress", "blue-dress"):
        (tmp_path / "shop" / name).mkdir(parents=True)
        for number in range(2):
            photo = Image.new("RGB", (96, 96), "white")
            ImageDraw.Draw(photo).rectangle((24, 16 + 4 * number, 72, 80), name.split("-")[0], "navy", 4)
            photo.save(tmp_path / "shop" / name / f"front-{number}.png")
    flags = ("--base", small_sdxl, "--image_tower", "tiny", "--form", "plain", "--precision", "bf16")
    more = ("--gradient_checkpointing", "true", "--gradient_accumulation", 2, "--steps", 2)
    train(*common, "--catalogue", tmp_path / "shop", *flags, *more, "--output_dir", tmp_path / "run")
    learned = load_file(tmp_path / "run" / "ip-adapter_shop_sdxl.safetensors")
    assert learned["image_proj.proj.weight"].shape == (4 * 64, 192)


@pytest.mark.slow
def test_generate_wears_an_unseen_garment_from_its_photo(
    finished: tuple[Path, str], common: list[object], tmp_path: Path
) -> None:
    """Photos change the picture, weight 0 does not, and the picture tells what it was drawn with."""
    for colour in ("red", "navy"):
        photo = Image.new("RGB", (96, 96), "white")
        ImageDraw.Draw(photo).rectangle((24, 16, 72, 80), colour, "black", 2)
        photo.save(tmp_path / f"{colour}.png")
    encoder = finished[0] / f"{STEM}.safetensors"

    def draw(name: str, *flags: object) -> bytes:
        prompt = ("--prompt", "a person wearing a dress, at the beach", "--steps", 2, "--precision", "fp32")
        run("inference/generate.py", "--encoder", encoder, *prompt, *flags, "--output_dir", tmp_path / name)
        with Image.open(tmp_path / name / "0001-0.png") as image:
            assert f"Garment encoder: {STEM}" in image.text["parameters"]
            return image.tobytes()

    red, navy = (draw(colour, "--garment_photo", tmp_path / f"{colour}.png") for colour in ("red", "navy"))
    both = draw("both", "--garment_photo", tmp_path / "red.png", tmp_path / "navy.png")
    assert len({red, navy, both}) == 3
    off = [
        draw(f"off-{colour}", "--garment_photo", tmp_path / f"{colour}.png", "--encoder_weight", 0)
        for colour in ("red", "navy")
    ]
    assert off[0] == off[1] != red


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--catalogue", "nowhere"], "no catalogue"),
        (["--catalogue", "wardrobe:3", "--image_dropout", "0.6", "--text_dropout", "0.6"], "1 at most together"),
        (["--catalogue", "wardrobe:3", "--form", "full"], "plus"),
        (["--catalogue", "wardrobe:3", "--align", "2"], "a share of the steps"),
        (["--catalogue", "wardrobe:3", "--rank", "4"], "no such setting"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_loaded(flags: list[str], says: str, tmp_path: Path) -> None:
    _, err = train(*flags, "--output_dir", tmp_path / "run", code=2)
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert says in line


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--encoder", "gone.safetensors", "--garment_photo", "x.jpg"], "no such file"),
        (["--encoder", "encoder.safetensors"], "--garment_photo is missing"),
        (["--garment_photo", "x.jpg"], "give --adapter"),
    ],
)
def test_generate_tells_what_an_encoder_lacks(flags: list[str], says: str, tmp_path: Path) -> None:
    _, err = run("inference/generate.py", *flags, "--prompt", "a dress", "--output_dir", tmp_path, code=2)
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert says in line


@pytest.mark.parametrize("preset", sorted((ROOT / "configs").glob("*encoder*.yaml")), ids=lambda path: path.stem)
def test_every_preset_loads(preset: Path) -> None:
    from lapel.adapters.encoder_settings import EncoderSettings
    from lapel.base.settings import BaseSettings
    from lapel.photos.catalogue import CatalogueSettings
    from lapel.training.run_settings import PlanSettings, RunSettings
    from lapel.training.settings import ObjectiveSettings, OptimizerSettings

    classes = (CatalogueSettings, BaseSettings, EncoderSettings, ObjectiveSettings)
    classes += (OptimizerSettings, RunSettings, PlanSettings)
    settings = read_settings("", *classes, argv=["--config", preset.stem, "--catalogue", "wardrobe:9"])
    by_name = {key: value for part in settings for key, value in vars(part).items()}
    for name, value in yaml.safe_load(preset.read_text(encoding="utf-8")).items():
        assert by_name[name] == value or name == "catalogue"

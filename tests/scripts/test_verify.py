"""`scripts/verify.py` as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lapel.adapters.compare import readings_agree
from lapel.adapters.export import save_adapter
from lapel.adapters.inject import inject
from lapel.adapters.names import names_of
from lapel.adapters.read import read_adapter
from lapel.adapters.settings import AdapterSettings
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "verify.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    base = load_base(BaseSettings(precision="fp32"))
    generator = torch.Generator().manual_seed(1)
    for parameter in inject(base, AdapterSettings(rank=4, alpha=2, convolutions=True, blocks=["unet", "text_encoder"])):
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return save_adapter(base, tmp_path_factory.mktemp("run"), "tee", {})


def test_a_sound_file(files: list[Path]) -> None:
    done = run(files[0], "--base", "tiny")
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.count("loads whole") == 5
    assert "302 layers and the outputs agree" in done.stdout


def test_a_file_that_front_ends_half_ignore(files: list[Path], tmp_path: Path) -> None:
    tensors = {key.replace("text_model_", ""): value for key, value in load_file(files[0]).items()}
    with safe_open(files[0], "pt") as file:
        save_file(tensors, tmp_path / "half.safetensors", file.metadata())
    done = run(tmp_path / "half.safetensors", "--base", "tiny")
    assert done.returncode == 1
    assert done.stdout.count("278 of 302 layers    24 layers: text encoder names without text_model_") == 4


def test_what_is_wrong_is_one_line(files: list[Path], tmp_path: Path) -> None:
    done = run(tmp_path / "gone.safetensors", "--base", "tiny")
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    done = run(files[0])
    assert done.returncode == 2 and "--base is required" in done.stderr


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_readings_agree_and_a_broken_one_does_not(files: list[Path], precision: str) -> None:
    base = load_base(BaseSettings(precision=precision))  # type: ignore[arg-type]
    names = names_of(base.family, base.models)
    for path in files:
        found = readings_agree(base, read_adapter(path, names))
        assert found is not None and found.close and found.layers == 302 and found.effect > 0.05
    adapter = read_adapter(files[0], names)
    for layer in adapter.layers.values():
        layer["alpha"] = layer["alpha"] * 1.2
    found = readings_agree(base, adapter)
    assert found is not None and not found.close


def test_a_comfyui_that_is_none_or_does_not_start(files: list[Path], tmp_path: Path) -> None:
    done = run(files[0], "--base", "tiny", "--comfyui", tmp_path)
    assert done.returncode == 2 and "no ComfyUI in it" in done.stderr and done.stderr.count("\n") == 1
    package = tmp_path / "comfy"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "cli_args.py").write_text("import argparse\nargs = argparse.Namespace()\n", encoding="utf-8")
    (package / "sd.py").write_text("import a_library_that_is_missing\n", encoding="utf-8")
    done = run(files[0], "--base", "tiny", "--comfyui", tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "No module named 'a_library_that_is_missing'" in done.stderr and "requirements.txt" in done.stderr
    done = run(files[1], "--base", "tiny", "--comfyui", tmp_path)
    assert done.returncode == 2 and "diffusers's layout, which ComfyUI is not given" in done.stderr
    done = run(files[0], "--base", "tiny", "--comfyui", tmp_path, "--precision", "bf16")
    assert done.returncode == 2 and "compares in fp32" in done.stderr

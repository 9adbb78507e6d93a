"""`scripts/export.py` as a user runs it."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lapel.adapters.export import save_adapter
from lapel.adapters.inject import inject
from lapel.adapters.layers import change
from lapel.adapters.names import layer_modules, names_of
from lapel.adapters.read import read_adapter
from lapel.adapters.settings import AdapterSettings
from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.errors import run_program

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(*arguments: object) -> Done:
    """The program in this process: to start one for every command takes minutes."""
    spec = importlib.util.spec_from_file_location("export_program", ROOT / "scripts" / "export.py")
    assert spec is not None and spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = program
    spec.loader.exec_module(program)
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["export.py", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            run_program(program.main)
        except SystemExit as leaving:
            code = int(leaving.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def ran(*arguments: object) -> str:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def trained(folder: Path, kind: str = "lora") -> list[Path]:
    base = load_base(BaseSettings(precision="fp32"))
    generator = torch.Generator().manual_seed(1)
    adapter = AdapterSettings(kind=kind, rank=4, alpha=2, blocks=["unet", "text_encoder"])  # type: ignore[arg-type]
    for parameter in inject(base, adapter):
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return save_adapter(base, folder, "tee", {"modelspec.trigger_phrase": "sks tee"}, torch.float32)


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return trained(tmp_path_factory.mktemp("lora"))


@pytest.fixture(scope="module")
def dora(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return trained(tmp_path_factory.mktemp("dora"), "dora")


@pytest.fixture(scope="module")
def tiny() -> Base:
    return load_base(BaseSettings(precision="fp32"))


def changes(path: Path, tiny: Base) -> dict[str, torch.Tensor]:
    modules = layer_modules(tiny.models)
    layers = read_adapter(path, names_of(tiny.family, tiny.models)).layers
    return {name: change(layer, modules[name].weight.shape, modules[name].weight) for name, layer in layers.items()}


def assert_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    worst = max(((found[name] - expected[name]).norm() / expected[name].norm()).item() for name in expected)
    assert worst < tolerance


def test_layouts_there_and_back(lora: list[Path], tiny: Base, tmp_path: Path) -> None:
    expected, source = changes(lora[0], tiny), lora[0]
    for layout in ("diffusers", "peft", "kohya"):
        target = tmp_path / ("folder" if layout == "peft" else f"{layout}.safetensors")
        out = ran(source, "--to", layout, "--output", target, "--precision", "fp32", "--base", "tiny")
        assert f"216 layers, {layout}" in out
        assert_close(changes(target, tiny), expected)
        source = target
    assert load_file(source).keys() == load_file(lora[0]).keys()
    with safe_open(source, "pt") as file:
        assert file.metadata()["ss_network_dim"] == "4"
    ran(lora[0], "--to", "kohya", "--output", tmp_path / "half.safetensors")
    with safe_open(tmp_path / "half.safetensors", "pt") as file:
        assert file.metadata()["modelspec.trigger_phrase"] == "sks tee"
        assert file.metadata()["ss_output_name"] == "half"
    assert {value.dtype for value in load_file(tmp_path / "half.safetensors").values()} == {torch.float16}


def test_adapters_are_added_up(lora: list[Path], dora: list[Path], tiny: Base, tmp_path: Path) -> None:
    out = tmp_path / "sum.safetensors"
    ran(lora[0], lora[1], "--weight", 0.5, 0.25, "--to", "kohya", "--output", out, "--precision", "fp32")
    one = changes(lora[0], tiny)
    assert_close(changes(out, tiny), {name: 0.75 * value for name, value in one.items()})
    ran(lora[0], dora[0], "--to", "kohya", "--output", out, "--precision", "fp32", "--base", "tiny")
    other = changes(dora[0], tiny)
    assert_close(changes(out, tiny), {name: value + other[name] for name, value in one.items()})


def test_a_dora_for_front_ends_and_as_the_nearest_lora(dora: list[Path], tiny: Base, tmp_path: Path) -> None:
    expected, out = changes(dora[1], tiny), tmp_path / "a.safetensors"
    ran(dora[1], "--to", "kohya", "--output", out, "--precision", "fp32", "--base", "tiny")
    assert_close(changes(out, tiny), expected, 1e-4)
    text = ran(dora[1], "--to", "diffusers", "--output", out, "--rank", 64, "--precision", "fp32", "--base", "tiny")
    stated = float(text.split(": ")[1].split("%")[0]) / 100
    found = changes(out, tiny)
    lost = sum((found[name] - value).square().sum() for name, value in expected.items())
    assert stated == pytest.approx(
        (lost / sum(value.square().sum() for value in expected.values())).sqrt().item(), abs=2e-5
    )


def test_merged_into_a_base_and_extracted_again(lora: list[Path], tiny: Base, tmp_path: Path) -> None:
    merged, out = tmp_path / "merged.safetensors", tmp_path / "out.safetensors"
    ran(lora[0], "--base", "tiny", "--weight", 0.5, "--to", "single_file", "--output", merged, "--precision", "fp32")
    expected = {name: 0.5 * value for name, value in changes(lora[0], tiny).items()}
    text = ran(merged, "--base", "tiny", "--to", "diffusers", "--output", out, "--rank", 4, "--precision", "fp32")
    assert_close(changes(out, tiny), expected, 1e-3)
    assert "rank 4: 0.0" in text
    ran(merged, "--to", "folder", "--output", tmp_path / "folder", "--precision", "fp32")
    again = load_base(BaseSettings(base=str(tmp_path / "folder"), precision="fp32"))
    name = "unet.mid_block.attentions.0.proj_in"
    torch.testing.assert_close(
        layer_modules(again.models)[name].weight, layer_modules(tiny.models)[name].weight + expected[name]
    )


def test_nothing_is_dropped_silently(lora: list[Path], tiny: Base, tmp_path: Path) -> None:
    stem = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    mixed, out = tmp_path / "mixed.safetensors", tmp_path / "out.safetensors"
    tensors = {key: value for key, value in load_file(lora[0]).items() if not key.startswith(stem)}
    tensors |= {f"{stem}.lokr_w1": torch.randn(8, 8), f"{stem}.lokr_w2": torch.randn(8, 8)}
    save_file(tensors, mixed, {"ss_base_model_version": "sd_v1"})
    done = run(mixed, "--to", "diffusers", "--output", out)
    assert done.returncode == 2 and "attn1.to_q and 0 more layers" in done.stderr
    assert not out.exists()
    done = run(mixed, "--to", "diffusers", "--output", out, "--allow_loss")
    assert done.returncode == 0 and "dropped: 1 weights" in done.stderr and "attn1.to_q" in done.stderr
    assert len(load_file(out)) == 2 * 215
    ran(mixed, "--to", "diffusers", "--output", out, "--rank", 64, "--base", "tiny", "--precision", "fp32")
    assert_close(changes(out, tiny), changes(mixed, tiny), 1e-3)


def test_what_an_adapter_cannot_hold_of_a_base_is_said(tmp_path: Path) -> None:
    from lapel.base.save import save_single_file

    base = load_base(BaseSettings(precision="fp32"))
    base.unet.conv_norm_out.weight.data += 1
    base.unet.conv_in.weight.data += 0.1
    save_single_file(base, tmp_path / "tuned.safetensors", torch.float32)
    wanted = ("--base", "tiny", "--to", "kohya", "--output", tmp_path / "out.safetensors")
    done = run(tmp_path / "tuned.safetensors", *wanted)
    assert done.returncode == 2 and "unet.conv_norm_out.weight" in done.stderr
    done = run(tmp_path / "tuned.safetensors", *wanted, "--allow_loss")
    assert done.returncode == 0, done.stderr
    assert list(load_file(tmp_path / "out.safetensors")) == ["lora_unet_conv_in.diff"]


def test_errors_are_one_line_each_and_exit_with_2(lora: list[Path], tmp_path: Path) -> None:
    out = ("--output", tmp_path / "out.safetensors")
    cases = [
        ((tmp_path / "gone.safetensors", "--to", "folder", *out), "no such file"),
        ((lora[0], "--to", "single_file", *out), "name the one to merge into with --base"),
        (("tiny", "--to", "kohya", *out), "name the one that it was trained from"),
        (("tiny", "--to", "kohya", "--base", "tiny", *out), "no layer differs"),
        (("tiny", lora[0], "--to", "kohya", *out), "tiny: not an adapter"),
        (("tiny", "tiny", "--to", "folder", *out), "one at a time"),
        ((lora[0], "--weight", 1, 2, "--to", "kohya", *out), "2 weights for 1 files"),
        ((lora[0], "--rank", 0, "--to", "kohya", *out), "rank is 0"),
        ((lora[0], "--to", "kohya", "--output", tmp_path / "x.pt"), "name a .safetensors file"),
    ]
    for arguments, words in cases:
        done = run(*arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1 and words in lines[0], done.stderr
        assert "Traceback" not in done.stderr
    done = run("--help")
    assert done.returncode == 0 and "--allow_loss" in done.stdout

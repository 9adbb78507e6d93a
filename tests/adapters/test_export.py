"""Adapters are injected, exported in both layouts, read back and worn."""

from __future__ import annotations

import hashlib
import json
import stat
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lapel.adapters.diffusers_layout import diffusers_tensors
from lapel.adapters.export import save_adapter
from lapel.adapters.inject import inject
from lapel.adapters.kinds import DOWN, UP
from lapel.adapters.kohya import kohya_tensors
from lapel.adapters.layers import change, scale_of
from lapel.adapters.learned import LayerUpdate, learned_updates
from lapel.adapters.names import family_names
from lapel.adapters.read import read_adapter
from lapel.adapters.settings import AdapterSettings
from lapel.adapters.verify import reading_lines, verify_adapter
from lapel.adapters.wear import wear
from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings, Precision
from lapel.errors import UserError

LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
STEM = "lora_unet_" + LAYER.replace(".", "_")


def learned(base: Base, adapter: AdapterSettings, size: float = 0.05) -> Base:
    """The base with an adapter that has moved away from where it started."""
    generator = torch.Generator().manual_seed(1)
    for parameter in inject(base, adapter):
        parameter.data += size * torch.randn(parameter.shape, generator=generator)
    return base


def tiny(precision: Precision = "fp32") -> Base:
    return load_base(BaseSettings(precision=precision))


@torch.no_grad()
def output(unet: torch.nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    latents = torch.randn(1, 4, 8, 8, generator=generator)
    text = torch.randn(1, 77, 192, generator=generator)
    return unet(latents, torch.tensor([300]), encoder_hidden_states=text).sample


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata()


KINDS = ["lora", "rslora", "dora", "loha", "lokr"]


@pytest.mark.parametrize("kind", KINDS)
def test_injection_changes_nothing_and_depends_on_the_seed_alone(kind: str) -> None:
    adapter = AdapterSettings(kind=kind, rank=2)
    base, half = tiny(), tiny("bf16")
    before = output(base.unet)
    parameters = inject(base, adapter, seed=3)
    torch.testing.assert_close(output(base.unet), before, rtol=1e-5, atol=1e-5)
    assert {parameter.dtype for parameter in parameters + inject(half, adapter, seed=3)} == {torch.float32}
    tensors = {"lora": 2, "rslora": 2, "dora": 3, "loha": 4, "lokr": 3}[kind]
    assert sum(p.requires_grad for p in base.unet.parameters()) == len(parameters) == 192 * tensors
    other = tiny()
    inject(other, adapter, seed=4)
    differ = False
    for ours, theirs, others in zip(*map(learned_updates, (base, half, other)), strict=True):
        assert not ours.difference().abs().max() > 1e-6  # a DoRA's lengths are rounded
        factors = [name for name in ours.layer if name != "dora_scale"]
        assert all(torch.equal(ours.layer[name], theirs.layer[name]) for name in factors)
        differ |= not all(torch.equal(ours.layer[name], others.layer[name]) for name in factors)
    assert differ


def test_convolutions_and_text_encoder_are_optional() -> None:
    base = tiny()
    inject(base, AdapterSettings(rank=2, convolutions=True, blocks=["unet", "text_encoder"]))
    updates = learned_updates(base)
    assert sum(update.part == "unet" for update in updates) == 278
    layers = base.text_encoders[0].config.num_hidden_layers
    assert sum(update.module.startswith("text_model.encoder.layers.") for update in updates) == 6 * layers
    conv = next(update for update in updates if update.module == "down_blocks.0.resnets.0.conv1")
    assert (conv.layer[DOWN].shape, conv.layer[UP].shape) == ((2, 64, 3, 3), (64, 2, 1, 1))


def test_kohya_file_by_hand(tmp_path: Path) -> None:
    base = learned(tiny(), AdapterSettings(rank=4, alpha=3))
    kohya, plain = save_adapter(base, tmp_path, "tee", {})
    tensors = load_file(kohya)
    assert len(tensors) == 3 * 192
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert tensors[f"{STEM}.alpha"].shape == () and tensors[f"{STEM}.alpha"].item() == 3
    layer = base.unet.get_submodule(LAYER)
    up, down = layer.lora_B["lapel"].weight, layer.lora_A["lapel"].weight
    by_hand = 3 / 4 * (tensors[f"{STEM}.lora_up.weight"].float() @ tensors[f"{STEM}.lora_down.weight"].float())
    torch.testing.assert_close(by_hand, 3 / 4 * (up @ down).detach(), rtol=0, atol=2e-4)
    assert tensors[f"{STEM.split('_transformer')[0]}_proj_in.lora_down.weight"].dim() == 4

    folded = load_file(plain)
    assert len(folded) == 2 * 192 and not any("alpha" in key for key in folded)
    expected = (0.75 * up.detach()).half()
    assert torch.equal(folded[f"unet.{LAYER}.lora_B.weight"], expected)
    if sys.platform != "win32":
        assert {stat.S_IMODE(path.stat().st_mode) for path in (kohya, plain)} == {0o644}


def test_metadata_and_hashes(tmp_path: Path) -> None:
    base = learned(tiny(), AdapterSettings(rank=16, alpha=8, convolutions=True))
    path = save_adapter(base, tmp_path, "striped-tee", {"modelspec.date": "2024-01-02", "ss_steps": "7"})[0]
    metadata = metadata_of(path)
    expected = {
        "ss_v2": "False",
        "ss_zero_terminal_snr": "False",
        "ss_base_model_version": "sd_v1",
        "ss_network_module": "networks.lora",
        "ss_network_dim": "16",
        "ss_network_alpha": "8",
        "ss_output_name": "striped-tee",
        "ss_sd_model_name": "tiny",
        "ss_steps": "7",
        "ss_resolution": "(96, 96)",
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.resolution": "96x96",
        "modelspec.date": "2024-01-02",
        "ss_new_sd_model_hash": base.hash,
    }
    assert {key: metadata.get(key) for key in expected} == expected
    assert json.loads(metadata["ss_network_args"]) == {"conv_dim": 16, "conv_alpha": 8.0}

    content = path.read_bytes()
    body = content[8 + int.from_bytes(content[:8], "little") :]
    assert metadata["sshs_model_hash"] == hashlib.sha256(body).hexdigest()
    ss_only = {key: value for key, value in metadata.items() if key.startswith("ss_")}
    save_file(load_file(path), tmp_path / "ss.safetensors", metadata=ss_only)
    part = (tmp_path / "ss.safetensors").read_bytes()[0x100000:0x110000]
    assert len(part) == 0x10000
    assert metadata["sshs_legacy_hash"] == hashlib.sha256(part).hexdigest()[:8]
    again = save_adapter(base, tmp_path / "2", "striped-tee", {"modelspec.date": "2024-01-02", "ss_steps": "7"})
    # safetensors writes the header's fields in any order; everything else is the same.
    repeated = again[0].read_bytes()
    assert repeated[8 + int.from_bytes(repeated[:8], "little") :] == body
    assert metadata_of(again[0]) == metadata


def test_metadata_must_be_strings(tmp_path: Path) -> None:
    base = learned(tiny(), AdapterSettings(rank=2))
    with pytest.raises(TypeError, match="ss_steps"):
        save_adapter(base, tmp_path, "tee", {"ss_steps": 7})  # type: ignore[dict-item]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_what_fp16_cannot_hold_is_refused(value: float, tmp_path: Path) -> None:
    base = learned(tiny(), AdapterSettings(rank=2))
    base.unet.get_submodule(LAYER).lora_B["lapel"].weight.data[0, 0] = value
    with pytest.raises(UserError, match=STEM):
        save_adapter(base, tmp_path, "tee", {})
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=30, deadline=None)
@given(
    rank=st.integers(1, 8),
    alpha=st.floats(0.1, 64),
    kernel=st.sampled_from([(), (1, 1), (3, 3)]),
    dora=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_layouts_keep_the_difference(rank: int, alpha: float, kernel: tuple[int, ...], dora: bool, seed: int) -> None:
    """Whatever rank, alpha and shape: both layouts, read by their formulas, give W' - W back within their precision."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(6, 5, *kernel, generator=generator)
    down = torch.randn(rank, 5, *kernel, generator=generator)
    up = torch.randn(6, rank, *(1,) * len(kernel), generator=generator)
    layer = {DOWN: down, UP: up, "alpha": torch.tensor(alpha)}
    if dora:
        layer["dora_scale"] = (torch.rand(6, generator=generator) + 0.5).reshape(6, *(1,) * (weight.dim() - 1))
    update = LayerUpdate("unet", LAYER, layer, weight)
    expected = update.difference()
    allowed = 2e-3 * max(1.0, expected.norm().item(), scale_of(layer) * up.norm().item() * down.norm().item())
    layers = {update.name: update.layer}
    kohya = kohya_tensors(family_names("sd15"), layers, torch.float16, {update.name: weight})
    held = {key.removeprefix(f"{STEM}."): tensor for key, tensor in kohya.items()}
    assert (change(held, weight.shape) - expected).norm() <= allowed
    plain = diffusers_tensors(layers, torch.float16)
    down, up = (plain[f"unet.{LAYER}.lora_{side}.weight"].float() for side in "AB")
    delta = (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
    if dora:
        lengths = (weight + delta).flatten(1).norm(dim=1)
        rows = (6,) + (1,) * (weight.dim() - 1)
        magnitude = plain[f"unet.{LAYER}.lora_magnitude_vector.weight"]
        assert magnitude.shape == ((1, 6, 1, 1) if kernel else (6,))
        delta = (magnitude.flatten() / lengths).reshape(rows) * (weight + delta) - weight
        # Where V is short, a small error turns it far.
        allowed *= max(1.0, (magnitude.flatten() / lengths).max().item())
    assert (delta - expected).norm() <= allowed


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_reading_gives_the_trained_model(kind: str, precision: str, tmp_path: Path) -> None:
    adapter = AdapterSettings(kind=kind, rank=4, alpha=2, convolutions=True, blocks=["unet", "text_encoder"])
    base = learned(tiny(precision), adapter, 0.2 if kind == "loha" else 0.05)  # what is small, squared, is nothing
    before = {key: value.clone() for key, value in base.unet.state_dict().items()}
    readings = verify_adapter(base, save_adapter(base, tmp_path, "tee", {}))
    ways = [(reading.file, reading.way) for reading in readings]
    assert ways[0] == ("tee.safetensors", "merged")
    assert ways[-1] == ("pytorch_lora_weights.safetensors", "diffusers")
    assert len(ways) == (3 if kind in ("lora", "rslora") else 2)
    layers = 278 + 6 * base.text_encoders[0].config.num_hidden_layers
    assert {reading.layers for reading in readings} == {layers}
    assert all(reading.effect > 0.05 for reading in readings)
    nearest = kind in ("loha", "lokr")
    assert len(reading_lines(readings)) == 1 + len(readings) + nearest
    assert (readings[-1].left_out is not None) == nearest
    if precision == "fp32":
        assert all(reading.output_error is not None and reading.output_error < 1e-3 for reading in readings)
    after = base.unet.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_sdxl_is_exported_under_original_names_and_read_back(small_sdxl: Path, tmp_path: Path) -> None:
    base = load_base(BaseSettings(base=str(small_sdxl), precision="fp32"))
    adapter = AdapterSettings(rank=4, alpha=2, convolutions=True, blocks=["unet", "text_encoder"])
    files = save_adapter(learned(base, adapter), tmp_path, "tee", {})
    readings = verify_adapter(base, files)
    assert all(reading.output_error is not None and reading.output_error < 1e-3 for reading in readings)
    prefixes = ("lora_unet_input_blocks", "lora_unet_middle_block", "lora_unet_output_blocks", "lora_te1_", "lora_te2_")
    assert all(key.startswith(prefixes) for key in load_file(files[0]))
    metadata = metadata_of(files[0])
    assert metadata["ss_base_model_version"] == "sdxl_base_v1-0"
    assert metadata["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"


def tamper(path: Path, change: str) -> None:
    tensors, other = load_file(path), STEM.replace("to_q", "to_k")
    if change == "alpha":
        tensors[f"{STEM}.alpha"] *= 1.1
    elif change == "swap":
        one, two = f"{STEM}.lora_up.weight", f"{other}.lora_up.weight"
        tensors[one], tensors[two] = tensors[two], tensors[one]
    elif change == "drop":
        tensors = {key: value for key, value in tensors.items() if not key.startswith(STEM)}
    save_file(tensors, path, metadata=metadata_of(path))


@pytest.mark.parametrize("change", ["alpha", "swap", "drop"])
def test_a_wrong_file_is_found(change: str, tmp_path: Path) -> None:
    base = learned(tiny(), AdapterSettings(rank=2))
    path = save_adapter(base, tmp_path, "tee", {})[0]
    tamper(path, change)
    with pytest.raises(RuntimeError, match=r"to_q|to_k"):
        verify_adapter(base, [path])


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_both_layouts_are_worn_with_their_weight(kind: str, tmp_path: Path) -> None:
    adapter = AdapterSettings(kind=kind, rank=4, alpha=2)
    base = learned(tiny(), adapter)
    files, trained = save_adapter(base, tmp_path, "a.b,c", {}), output(base.unet)
    bare = output(tiny().unet)
    for path in files:
        for weight, expected in ((1.0, trained), (0.0, bare)):
            if kind == "dora" and weight == 0 and path is files[1]:
                continue  # peft's weight 0 leaves a DoRA's magnitudes on
            pipeline = tiny().pipeline()
            wear(pipeline, [(path, weight)])
            error = (output(pipeline.unet) - expected).norm() / expected.norm()
            assert error < 1e-3


def test_several_adapters_add_up(tmp_path: Path) -> None:
    lora, dora = AdapterSettings(rank=2), AdapterSettings(kind="dora", rank=2)
    files = [save_adapter(learned(tiny(), one, 0.02), tmp_path / one.kind, one.kind, {})[0] for one in (lora, dora)]
    pipeline = tiny().pipeline()
    wear(pipeline, [(files[0], 0.5), (files[1], 0.7)])
    expected = tiny().unet
    weight = expected.get_submodule(LAYER).weight
    first, second = (change(read_adapter(path).layers[f"unet.{LAYER}"], weight.shape) for path in files)
    found = pipeline.unet.get_submodule(LAYER)
    image = torch.eye(64)
    with torch.no_grad():
        torch.testing.assert_close(found(image).T, weight + 0.5 * first + 0.7 * second, rtol=1e-3, atol=1e-4)


def test_what_diffusers_does_not_read_is_worn_by_its_formula(tmp_path: Path) -> None:
    """An old layout of diffusers, a LoKr and a DoRA by columns, each with its weight."""
    generator = torch.Generator().manual_seed(0)
    down, up = (torch.randn(shape, generator=generator) for shape in ((4, 64), (64, 4)))
    lengths = torch.rand(1, 64, generator=generator) + 0.5
    files = {
        "old": {
            f"unet.{LAYER[:-5]}.processor.to_q_lora.down.weight": down,
            f"unet.{LAYER[:-5]}.processor.to_q_lora.up.weight": up,
        },
        "lokr": {f"{STEM}.lokr_w1": up[:8], f"{STEM}.lokr_w2": down.reshape(8, 32)[:, :16]},
        "dora": {f"{STEM}.lora_down.weight": down, f"{STEM}.lora_up.weight": up, f"{STEM}.dora_scale": lengths},
    }
    weight = tiny().unet.get_submodule(LAYER).weight
    columns = weight + up @ down
    expected = {
        "old": weight + 0.5 * up @ down,
        "lokr": weight + 0.5 * torch.kron(up[:8], down.reshape(8, 32)[:, :16]),
        "dora": weight + 0.5 * (lengths * columns / columns.norm(dim=0) - weight),
    }
    for name, tensors in files.items():
        path = tmp_path / f"{name}.safetensors"
        save_file({key: value.clone() for key, value in tensors.items()}, path)
        pipeline = tiny().pipeline()
        wear(pipeline, [(path, 0.5)])
        torch.testing.assert_close(pipeline.unet.get_submodule(LAYER).weight, expected[name])


def test_what_cannot_be_worn_is_said(small_sdxl: Path, tmp_path: Path) -> None:
    pipeline = tiny().pipeline()
    with pytest.raises(UserError, match="no such adapter"):
        wear(pipeline, [(tmp_path / "gone.safetensors", 1.0)])
    other = tmp_path / "other.safetensors"
    save_file({"x.weight": torch.ones(1)}, other)
    with pytest.raises(UserError, match="not an adapter"):
        wear(pipeline, [(other, 1.0)])
    save_file({f"{STEM}.lora_down.weight": torch.ones(1, 1), f"{STEM}.dora_scale": torch.ones(1, 1)}, other)
    with pytest.raises(UserError, match="incomplete"):
        wear(pipeline, [(other, 1.0)])
    for kind in ("lora", "dora"):
        adapter = AdapterSettings(kind=kind, rank=2)
        base = learned(load_base(BaseSettings(base=str(small_sdxl), precision="fp32")), adapter)
        for path in save_adapter(base, tmp_path / kind, "xl", {}):
            with pytest.raises(UserError, match="another base") as caught:
                wear(pipeline, [(path, 1.0)])
            assert len(str(caught.value).splitlines()) == 1

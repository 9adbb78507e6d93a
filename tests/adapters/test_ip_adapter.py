"""Garment encoders in IP-Adapter's layout: official names and shapes, and the same output through diffusers' loader."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from lapel.adapters.encoder import inject_encoder, strength, with_photos
from lapel.adapters.encoder_settings import Form
from lapel.adapters.ip_adapter import (
    encoder_file_name,
    encoder_tensors,
    read_encoder,
    save_encoder,
    start_encoder,
    wear_encoder,
)
from lapel.adapters.verify_encoder import verify_encoder
from lapel.base.base import Base
from lapel.base.configs import UNET_CONFIGS
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.base.shapes import random_base
from lapel.errors import UserError

FORMS: tuple[Form, ...] = ("plus", "plain")
SD15_NUMBERS = [*range(1, 32, 2)]
# down, up, and the middle block last; the width of each layer.
SD15_WIDTHS = [320] * 2 + [640] * 2 + [1280] * 2 + [1280] * 3 + [640] * 3 + [320] * 3 + [1280]
SDXL_WIDTHS = [640] * 4 + [1280] * 20 + [1280] * 30 + [640] * 6 + [1280] * 10


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    random_base("tiny", folder, seed=0)
    return folder


def learned(folder: Path, form: Form, width: int = 192) -> Base:
    """A base with an encoder that is not at its start any more."""
    base = load_base(BaseSettings(base=str(folder), precision="fp32"))
    generator = torch.Generator().manual_seed(3)
    for parameter in inject_encoder(base, form, width):
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator)
    return base


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("form", FORMS)
def test_names_and_shapes_are_the_official_ones(family: str, form: Form) -> None:
    """At the published bases' true sizes, without memory for their numbers."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**UNET_CONFIGS[family])
        inject_encoder(SimpleNamespace(unet=unet, device="meta"), form, 1280)  # type: ignore[arg-type]
    shapes = {name: tuple(tensor.shape) for name, tensor in encoder_tensors(unet).items()}
    widths, cross = (SD15_WIDTHS, 768) if family == "sd15" else (SDXL_WIDTHS, 2048)
    for number, width in zip(range(1, 2 * len(widths), 2), widths, strict=True):
        for kind in ("k", "v"):
            assert shapes.pop(f"ip_adapter.{number}.to_{kind}_ip.weight") == (width, cross)
    projection = {name.removeprefix("image_proj."): shape for name, shape in shapes.items()}
    assert len(projection) == (51 if form == "plus" else 4)
    if form == "plain":
        assert projection["proj.weight"] == (4 * cross, 1280)
        assert projection.keys() == {"proj.weight", "proj.bias", "norm.weight", "norm.bias"}
        return
    dim, heads = (768, 12) if family == "sd15" else (1280, 20)
    assert projection["latents"] == (1, 16, dim)
    assert projection["proj_in.weight"] == (dim, 1280)
    assert projection["proj_out.weight"] == (cross, dim)
    assert projection["layers.3.0.to_q.weight"] == (64 * heads, dim)
    assert projection["layers.3.0.to_kv.weight"] == (128 * heads, dim)
    assert projection["layers.3.0.to_out.weight"] == (dim, 64 * heads)
    assert projection["layers.3.1.1.weight"] == (4 * dim, dim)
    assert {"norm_out.bias", "layers.0.0.norm1.weight", "layers.0.0.norm2.bias", "layers.0.1.0.weight"} <= set(
        projection
    )


@pytest.mark.parametrize("form", FORMS)
def test_files_give_what_was_trained(form: Form, tiny_folder: Path, tmp_path: Path) -> None:
    base = learned(tiny_folder, form)
    files = save_encoder(base, tmp_path, "ip-adapter_test_sd15", {"lapel_image_tower": "tiny"}, torch.float32)
    for reading in verify_encoder(base, files):
        assert reading.tensors == len(encoder_tensors(base.unet))
        assert reading.tensor_error == 0
        assert reading.output_error < 1e-6
        assert reading.effect > 0.01
    header = read_encoder(files[0]).metadata
    assert (header["lapel_image_tower"], header["lapel_family"]) == ("tiny", "sd15")
    assert all(file.stat().st_mode & 0o044 for file in files)


def test_sdxl_goes_the_same_way(small_sdxl: Path, tmp_path: Path) -> None:
    base = learned(small_sdxl, "plus", width=24)
    for reading in verify_encoder(base, save_encoder(base, tmp_path, "ip-adapter-plus_test_sdxl", {})):
        assert reading.output_error < 0.02 * reading.effect + 1e-4


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_diffusers_users_load_it_from_a_folder(suffix: str, tiny_folder: Path, tmp_path: Path) -> None:
    base = learned(tiny_folder, "plus")
    save_encoder(base, tmp_path, "ip-adapter-plus_test_sd15", {}, torch.float32)
    pipeline = load_base(BaseSettings(base=str(tiny_folder), precision="fp32")).pipeline()
    name = f"ip-adapter-plus_test_sd15.{suffix}"
    pipeline.load_ip_adapter(tmp_path, subfolder="", weight_name=name, image_encoder_folder=None)
    generator = torch.Generator().manual_seed(0)
    latents, features = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 65, 192, generator=generator)
    conditions = with_photos({"encoder_hidden_states": torch.randn(1, 77, 192, generator=generator)}, features)
    with torch.no_grad():
        ours, theirs = (unet(latents, 500, **conditions).sample for unet in (base.unet, pipeline.unet))
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_at_strength_zero_the_base_is_as_it_was(tiny_folder: Path) -> None:
    bare = load_base(BaseSettings(base=str(tiny_folder), precision="fp32")).unet
    unet = learned(tiny_folder, "plain").unet
    latents, text = torch.randn(1, 4, 8, 8), {"encoder_hidden_states": torch.randn(1, 77, 192)}
    conditions = with_photos(dict(text), torch.randn(1, 192))
    with torch.no_grad():
        expected = bare(latents, 500, **text).sample
        worn = unet(latents, 500, **conditions).sample
        with strength(unet, 0.0):
            without = unet(latents, 500, **conditions).sample
        assert torch.equal(worn, unet(latents, 500, **conditions).sample)
    assert torch.allclose(without, expected, atol=1e-5)
    assert not torch.allclose(worn, expected, atol=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_a_training_starts_from_a_file(form: Form, tiny_folder: Path, tmp_path: Path) -> None:
    trained = learned(tiny_folder, form)
    files = save_encoder(trained, tmp_path, "start", {}, torch.float32)
    fresh = load_base(BaseSettings(base=str(tiny_folder), precision="fp32"))
    inject_encoder(fresh, form, 192, seed=9)
    for file in files:
        start_encoder(fresh, read_encoder(file), form, 192)
        ours, theirs = encoder_tensors(fresh.unet), encoder_tensors(trained.unet)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_what_does_not_fit_is_told_in_one_line(tiny_folder: Path, small_sdxl: Path, tmp_path: Path) -> None:
    base = learned(tiny_folder, "plus")
    (path, _) = save_encoder(base, tmp_path, "tiny", {})
    file = read_encoder(path)
    with pytest.raises(UserError, match="--form plus"):
        start_encoder(base, file, "plain", 192)
    with pytest.raises(UserError, match=r"features of 192 numbers.*--image_tower"):
        start_encoder(base, file, "plus", 1280)
    with pytest.raises(UserError, match="192 numbers per token, not 64"):
        wear_encoder(load_base(BaseSettings(base=str(small_sdxl), precision="fp32")).pipeline(), file, 1.0)
    other = tmp_path / "other.safetensors"
    save_file({"image_proj.proj.0.weight": torch.ones(2, 2), "ip_adapter.1.to_k_ip.weight": torch.ones(2, 2)}, other)
    with pytest.raises(UserError, match="another form"):
        read_encoder(other)
    with pytest.raises(UserError, match="not a garment encoder"):
        read_encoder(tiny_folder / "unet" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(UserError, match="no such file"):
        read_encoder(tmp_path / "missing.bin")
    (tmp_path / "broken.bin").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(UserError, match="damaged"):
        read_encoder(tmp_path / "broken.bin")


def test_nothing_is_written_of_what_is_not_finite(tiny_folder: Path, tmp_path: Path) -> None:
    base = learned(tiny_folder, "plain")
    next(iter(base.unet.encoder_hid_proj.parameters())).data[0, 0] = torch.nan
    with pytest.raises(UserError):
        save_encoder(base, tmp_path, "broken", {})
    assert not list(tmp_path.iterdir())


def test_file_names_tell_front_ends_form_and_family(tiny_folder: Path, tmp_path: Path) -> None:
    assert encoder_file_name("shop", "plus", "sd15") == "ip-adapter-plus_shop_sd15"
    assert encoder_file_name("shop", "plain", "sdxl") == "ip-adapter_shop_sdxl"
    (path, _) = save_encoder(learned(tiny_folder, "plain"), tmp_path, "half", {})
    assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float16}

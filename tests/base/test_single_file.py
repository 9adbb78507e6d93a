"""Single-file checkpoints: written from a base and read back, in every form that people have them in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from lapel.base.base import Base
from lapel.base.families import FAMILIES
from lapel.base.load import load_base, reload_encoders
from lapel.base.save import save_folder, save_single_file, single_file_tensors
from lapel.base.settings import BaseSettings
from lapel.base.single_file import open_single_file
from lapel.errors import UserError

Tensors = dict[str, torch.Tensor]
TEXT = "cond_stage_model.transformer."


@pytest.fixture(scope="module")
def tiny() -> Base:
    return load_base(BaseSettings(precision="fp32"))


@pytest.fixture(scope="module")
def tensors(tiny: Base) -> Tensors:
    return {name: value.contiguous() for name, value in single_file_tensors(tiny).items()}


def load(path: Path, **settings: Any) -> Base:
    return load_base(BaseSettings(base=str(path), precision=settings.pop("precision", "fp32"), **settings))


def assert_same(found: Base, expected: Base, parts: tuple[str, ...] = ("unet", "vae", "text")) -> None:
    models = {
        "unet": (found.unet, expected.unet),
        "vae": (found.vae, expected.vae),
        "text": (found.text_encoders[0], expected.text_encoders[0]),
    }
    for part in parts:
        one, other = (model.state_dict() for model in models[part])
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in other), part


def test_folder_to_single_file_to_folder_keeps_every_number(tiny: Base, tmp_path: Path) -> None:
    save_single_file(tiny, tmp_path / "one.safetensors", torch.float32)
    once = load(tmp_path / "one.safetensors")
    assert_same(once, tiny)
    assert (once.resolution, once.prediction_type, once.hash) == (96, tiny.prediction_type, once.hash)
    save_folder(once, tmp_path / "folder", torch.float32)
    twice = load(tmp_path / "folder")
    assert_same(twice, tiny)
    captions = ["a red shirt on a beach"]
    assert torch.equal(tiny.encode_text(captions)["prompt_embeds"], twice.encode_text(captions)["prompt_embeds"])
    keys = load_file(tmp_path / "folder" / "text_encoder" / "model.safetensors")
    assert all(key.startswith("text_model.") for key in keys)
    with pytest.raises(UserError, match="not empty"):
        save_folder(once, tmp_path / "folder")


def legacy_pickle(tensors: Tensors, path: Path) -> None:
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("one.safetensors", lambda tensors, path: save_file(tensors, path)),
        ("one.ckpt", torch.save),
        ("old.ckpt", legacy_pickle),
        ("below.pt", lambda tensors, path: torch.save({"state_dict": {"state_dict": tensors}, "global_step": 7}, path)),
    ],
)
def test_every_container_is_read(
    name: str, save: Callable[[Tensors, Path], None], tensors: Tensors, tiny: Base, tmp_path: Path
) -> None:
    save(tensors, tmp_path / name)
    assert_same(load(tmp_path / name), tiny)


def test_merges_as_people_have_them(tensors: Tensors, tiny: Base, tmp_path: Path) -> None:
    """EMA weights beside the others, a wrapper's prefix, no level `text_model`, leftovers of training, other types."""
    merged = {name.replace(f"{TEXT}text_model.", TEXT): value for name, value in tensors.items()}
    unet = [name for name in tensors if name.startswith("model.diffusion_model.")]
    merged |= {f"model_ema.{name[6:].replace('.', '')}": torch.zeros_like(tensors[name]) for name in unet}
    merged |= {"model_ema.decay": torch.tensor(0.9), "alphas_cumprod": torch.ones(1000), "betas": torch.ones(1000)}
    merged[f"{TEXT}embeddings.position_ids"] = torch.arange(77)[None]
    save_file(merged, tmp_path / "merge.safetensors")
    assert_same(load(tmp_path / "merge.safetensors"), tiny)
    save_file({f"module.{name}": value for name, value in tensors.items()}, tmp_path / "wrapped.safetensors")
    assert_same(load(tmp_path / "wrapped.safetensors"), tiny)
    for dtype in (torch.float16, torch.bfloat16):
        save_file({name: value.to(dtype) for name, value in tensors.items()}, tmp_path / "half.safetensors")
        half = load(tmp_path / "half.safetensors", precision="bf16")
        assert {half.unet.dtype, half.vae.dtype, half.text_encoders[0].dtype} == {torch.bfloat16}
        expected = tiny.unet.conv_in.weight.to(dtype).to(torch.bfloat16)
        assert torch.equal(half.unet.conv_in.weight, expected)


def test_what_predicts_v_is_told(tensors: Tensors, tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    for key, value, predicted in (("a", "v", "v_prediction"), ("b", "epsilon", "epsilon")):
        save_file(tensors, path, {"modelspec.prediction_type": value})
        assert open_single_file(path).prediction_type() == predicted, key
    save_file({**tensors, "v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}, path)
    marked = open_single_file(path)
    assert (marked.prediction_type(), marked.zero_terminal_snr) == ("v_prediction", True)
    save_file(tensors, path)
    for said, predicted in (("", "epsilon"), ("parameterization: v", "v_prediction")):
        text = f"model:\n  params:\n    timesteps: 1000\n    {said}\n"
        path.with_suffix(".yaml").write_text(text, encoding="utf-8")
        assert open_single_file(path).prediction_type() == predicted
        assert load(path).prediction_type == predicted
    path.with_suffix(".yaml").write_text("model: 3", encoding="utf-8")
    with pytest.raises(UserError, match="not the configuration"):
        open_single_file(path).prediction_type()


def test_the_user_says_what_no_file_says() -> None:
    base = load_base(BaseSettings(precision="fp32", prediction_type="epsilon", zero_terminal_snr=False))
    assert (base.prediction_type, base.zero_terminal_snr) == ("epsilon", False)
    base = load_base(BaseSettings(precision="fp32", prediction_type="v_prediction", zero_terminal_snr=True))
    assert (base.prediction_type, base.zero_terminal_snr) == ("v_prediction", True)
    assert base.scheduler.alphas_cumprod[-1] == 0
    picture = base.pipeline()("a shirt", num_inference_steps=2, height=32, width=32, output_type="np").images
    assert picture.std() > 0


@pytest.mark.parametrize(("width", "family"), [(768, "sd15"), (1024, "sd2"), (2048, "sdxl")])
@pytest.mark.parametrize("channels", [4, 9])
def test_families_are_told_apart_by_shapes(width: int, family: str, channels: int, tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    shapes = {
        "model.diffusion_model.input_blocks.0.0.weight": (8, channels, 3, 3),
        "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (8, width),
    }
    shapes |= {f"{root}x": (1,) for root in FAMILIES[family].text_roots}
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    found = open_single_file(path)
    assert (found.shape, found.family, found.inpainting) == (family, FAMILIES[family], channels == 9)
    assert (found.prediction_type(), found.zero_terminal_snr) == ("epsilon", False)


def test_sd2_is_told_by_its_weights_what_it_predicts(tmp_path: Path) -> None:
    path, root = tmp_path / "one.safetensors", "model.diffusion_model."
    tensors = {
        f"{root}input_blocks.0.0.weight": torch.zeros(8, 4, 3, 3),
        f"{root}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(8, 1024),
        "cond_stage_model.model.x": torch.zeros(1),
    }
    for size, predicted in ((0.05, "epsilon"), (0.2, "v_prediction")):
        bias = size * torch.randn(320, generator=torch.Generator().manual_seed(0))
        save_file({**tensors, f"{root}output_blocks.11.1.transformer_blocks.0.norm1.bias": bias}, path)
        assert open_single_file(path).prediction_type() == predicted


@pytest.fixture
def inpainting(tiny: Base, tmp_path: Path) -> Path:
    """A single file of tiny's shape with nine input channels."""
    tensors = {name: value.contiguous() for name, value in single_file_tensors(tiny).items()}
    first = tensors["model.diffusion_model.input_blocks.0.0.weight"]
    tensors["model.diffusion_model.input_blocks.0.0.weight"] = torch.cat([first, torch.zeros(64, 5, 3, 3)], dim=1)
    save_file(tensors, tmp_path / "inpaint.safetensors", {"modelspec.prediction_type": "v"})
    return tmp_path / "inpaint.safetensors"


def test_an_inpainting_base_fills_a_mask_and_nothing_else(inpainting: Path, tmp_path: Path) -> None:
    base = load(inpainting)
    with pytest.raises(UserError, match="an inpainting base"):
        base.require_ordinary()
    assert base.inpainting and isinstance(base.unet, UNet2DConditionModel)
    image, mask = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    arguments = {"num_inference_steps": 2, "height": 64, "width": 64, "output_type": "np"}
    pictures = base.pipeline("inpaint")("a shirt", image=image, mask_image=mask, **arguments).images
    assert pictures.std() > 0
    assert type(base.pipeline()) is type(base.pipeline("inpaint"))
    save_folder(base, tmp_path / "folder", torch.float32)
    assert_same(load(tmp_path / "folder"), base)


def vae_file(tiny: Base, path: Path, **changes: Any) -> Tensors:
    """tiny's VAE with other numbers, in a file."""
    from lapel.base.save import vae_tensors

    other = {name: value + 0.01 for name, value in tiny.vae.state_dict().items()}
    vae = type(tiny.vae).from_config(tiny.vae.config)
    vae.load_state_dict(other)
    original = {name: value.contiguous() for name, value in vae_tensors(vae).items()}
    if path.name.endswith(".vae.pt"):
        torch.save({"state_dict": {**original, "loss.logvar": torch.zeros(1)}}, path)
    elif "diffusers" in path.name:
        save_file(vae.state_dict(), path)
    else:
        save_file({f"first_stage_model.{name}": value for name, value in original.items()}, path)
    return other


@pytest.mark.parametrize("name", ["new.vae.pt", "new.safetensors", "diffusers.safetensors"])
def test_another_vae_from_a_file(name: str, tiny: Base, tmp_path: Path) -> None:
    expected = vae_file(tiny, tmp_path / name)
    base = load_base(BaseSettings(vae=str(tmp_path / name), precision="fp32"))
    assert all(torch.equal(base.vae.state_dict()[key], value) for key, value in expected.items())
    base.release_encoders()
    reload_encoders(base, BaseSettings(vae=str(tmp_path / name), precision="fp32"))
    assert all(torch.equal(base.vae.state_dict()[key], value) for key, value in expected.items())


def test_another_vae_from_a_folder_and_into_a_single_file(tiny: Base, tmp_path: Path) -> None:
    expected = vae_file(tiny, tmp_path / "x.safetensors")
    tiny.vae.save_pretrained(tmp_path / "plain")
    save_file(expected, tmp_path / "plain" / "diffusion_pytorch_model.safetensors")
    save_single_file(tiny, tmp_path / "base.safetensors", torch.float32)
    for name in ("plain", "x.safetensors"):
        base = load(tmp_path / "base.safetensors", vae=str(tmp_path / name))
        assert all(torch.equal(base.vae.state_dict()[key], value) for key, value in expected.items())
        assert_same(base, tiny, ("unet", "text"))


def test_a_vae_that_overflows_goes_on_in_fp32(tiny: Base, capsys: pytest.CaptureFixture[str]) -> None:
    base = load_base(BaseSettings(precision="fp16"))
    # An activation beyond fp16's 65504 in the first layer, which the next group norm takes back.
    for weight in (base.vae.encoder.conv_in.weight, base.vae.decoder.conv_in.weight):
        weight.data = (weight.float() * (6e4 / weight.abs().max().item())).half()
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mean, std = base.encode_images(pixels)
    assert mean.isfinite().all() and std.isfinite().all()
    assert base.vae.dtype == torch.float32
    assert "overflowed in float16" in capsys.readouterr().err
    picture = base.pipeline()("a shirt", num_inference_steps=1, height=32, width=32, output_type="np").images
    assert torch.from_numpy(picture).isfinite().all()
    assert capsys.readouterr().err == ""

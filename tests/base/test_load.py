"""Bases are found and loaded, from wherever they lie; what is wrong with one is said in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0

from lapel.base.base import Base
from lapel.base.find import TINY_FOLDER, check_base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.files import sha256

UNET_FILE = Path("unet") / "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def tiny() -> Base:
    return load_base(BaseSettings(precision="fp32"))


@pytest.fixture
def tiny_copy(tmp_path: Path) -> Path:
    return shutil.copytree(TINY_FOLDER, tmp_path / "copy")


@pytest.fixture(scope="module")
def sdxl(small_sdxl: Path) -> Base:
    return load_base(BaseSettings(base=str(small_sdxl), precision="fp32"))


def test_tiny_is_a_small_sd15(tiny: Base) -> None:
    stated = json.loads((TINY_FOLDER / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
    assert (tiny.name, tiny.family.name) == ("tiny", "sd15")
    assert (tiny.resolution, tiny.latent_stride, tiny.multiple) == (96, 4, 32)
    assert tiny.prediction_type == stated["prediction_type"]
    assert tiny.hash == sha256(TINY_FOLDER / UNET_FILE)
    assert tiny.dtype == torch.float32
    assert not any(p.requires_grad for part in (tiny.unet, tiny.vae, *tiny.text_encoders) for p in part.parameters())


def test_noise_schedule_is_stable_diffusions(tiny: Base) -> None:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    torch.testing.assert_close(tiny.scheduler.alphas_cumprod, (1 - betas).cumprod(0))


def test_text_is_encoded_as_the_stock_pipeline_does(tiny: Base) -> None:
    captions = ["a red shirt", "word " * 70]
    expected, _ = tiny.pipeline().encode_prompt(captions, "cpu", 1, False)
    torch.testing.assert_close(tiny.encode_text(captions)["prompt_embeds"], expected, rtol=0, atol=0)


def test_sdxl_text_is_encoded_as_the_stock_pipeline_does(sdxl: Base) -> None:
    assert sdxl.family.name == "sdxl"
    captions = ["a red shirt", "blue trousers on a chair"]
    expected, _, pooled, _ = sdxl.pipeline().encode_prompt(
        captions, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    text = sdxl.encode_text(captions)
    torch.testing.assert_close(text["prompt_embeds"], expected, rtol=0, atol=0)
    torch.testing.assert_close(text["pooled_prompt_embeds"], pooled, rtol=0, atol=0)


def test_sdxl_conditions_name_sizes_and_crop(sdxl: Base) -> None:
    text = sdxl.encode_text(["one", "two"])
    conditions = sdxl.unet_conditions(text, torch.tensor([[70, 60], [50, 40]]), crop=(3, 4))
    assert conditions["added_cond_kwargs"]["time_ids"].tolist() == [[70, 60, 3, 4, 64, 64], [50, 40, 3, 4, 64, 64]]
    latents = torch.randn(2, 4, 16, 16)
    assert sdxl.unet(latents, torch.tensor([1, 999]), **conditions).sample.shape == latents.shape


@pytest.mark.parametrize("name", ["tiny", "sdxl"])
def test_latents_come_in_the_unets_scale(name: str, request: pytest.FixtureRequest) -> None:
    base: Base = request.getfixturevalue(name)
    pixels = torch.rand(2, 3, 64, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mean, std = base.encode_images(pixels)
    posterior = base.vae.encode(pixels).latent_dist
    factor = {"tiny": base.vae.config.scaling_factor, "sdxl": 0.13025}[name]
    assert mean.shape == std.shape == (2, 4, 64 // base.latent_stride, 32 // base.latent_stride)
    torch.testing.assert_close(mean, posterior.mean * factor)
    torch.testing.assert_close(std, posterior.std * factor)


@pytest.mark.parametrize("kind", ["text2img", "img2img", "inpaint"])
def test_sdxl_in_bf16_keeps_its_vae_in_fp32_and_generates(small_sdxl: Path, kind: str) -> None:
    base = load_base(BaseSettings(base=str(small_sdxl)))
    assert (base.unet.dtype, base.vae.dtype) == (torch.bfloat16, torch.float32)
    image, mask = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    inputs = {"text2img": {}, "img2img": {"image": image}, "inpaint": {"image": image, "mask_image": mask}}[kind]
    size = {} if kind == "img2img" else {"height": 64, "width": 64}
    pictures = base.pipeline(kind)("a shirt", num_inference_steps=4, output_type="np", **inputs, **size).images
    assert pictures.shape == (1, 64, 64, 3)
    assert pictures.std() > 0


def test_released_encoders_leave_sizes_behind_and_say_so(tiny_copy: Path) -> None:
    base = load_base(BaseSettings(base=str(tiny_copy), precision="fp32"))
    text = base.encode_text(["a shirt"])["prompt_embeds"]
    base.release_text_encoders()
    images = base.pipeline()(
        prompt_embeds=text, negative_prompt_embeds=text, num_inference_steps=1, height=32, width=32, output_type="np"
    ).images
    assert images.shape == (1, 32, 32, 3)
    base.release_encoders()
    assert (base.resolution, base.latent_stride, base.vae) == (96, 4, None)
    with pytest.raises(RuntimeError, match="released"):
        base.encode_text(["a shirt"])


def test_gradient_checkpointing_and_licence_are_read(tiny_copy: Path) -> None:
    (tiny_copy / "README.md").write_text("---\nlicense: openrail++\n---\n", encoding="utf-8")
    base = load_base(BaseSettings(base=str(tiny_copy), gradient_checkpointing=True))
    assert base.unet.is_gradient_checkpointing
    assert base.licence == "openrail++"


def test_theusual_precision_is_settled_by_the_base_and_the_processor(
    tiny_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_base(BaseSettings(base=str(tiny_copy))).precision == "bf16"
    for has_products, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda answer=has_products: answer)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        assert load_base(BaseSettings()).precision == expected


def test_written_out_attention_computes_what_the_fused_kernel_computes(tiny_copy: Path) -> None:
    base = load_base(BaseSettings(base=str(tiny_copy), precision="fp32"))
    conditions = base.unet_conditions(base.encode_text(["a shirt"]))
    latents = torch.randn(1, 4, 24, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        written_out = base.unet(latents, 500, **conditions).sample
        base.unet.set_attn_processor(AttnProcessor2_0())
        torch.testing.assert_close(written_out, base.unet(latents, 500, **conditions).sample, rtol=1e-4, atol=1e-5)


def one_line(name: str | Path, load: bool = True) -> str:
    """What loading says, and checking too where it needs no weights."""
    with pytest.raises(UserError) as caught:
        (load_base if load else check_base)(BaseSettings(base=str(name)))
    assert len(str(caught.value).splitlines()) == 1
    assert str(name) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("load", [True, False])
def test_missing_and_unknown_bases_are_said(tmp_path: Path, load: bool) -> None:
    assert "no such file" in one_line(tmp_path / "gone.safetensors", load)
    assert "not a hub id" in one_line("tinny", load)
    assert "not a diffusers folder" in one_line(tmp_path, load)
    for content in (b"", b"1234", b"\x08" + b"\0" * 7 + b"not json"):
        broken = tmp_path / "broken.safetensors"
        broken.write_bytes(content)
        assert "download it again" in one_line(broken, load)
    adapter = tmp_path / "adapter.safetensors"
    from safetensors.torch import save_file

    save_file({"lora_unet_x.alpha": torch.ones(())}, adapter)
    assert "not a single-file checkpoint" in one_line(adapter, load)
    adapter.write_bytes(adapter.read_bytes()[:-1])
    assert "truncated" in one_line(adapter, load)


def test_other_models_are_turned_away(tiny_copy: Path) -> None:
    path = tiny_copy / "unet" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "in_channels": 8}), encoding="utf-8")
    assert "known family" in one_line(tiny_copy)
    path.write_text(json.dumps({**config, "_class_name": "FluxTransformer2DModel"}), encoding="utf-8")
    assert "known family" in one_line(tiny_copy)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="not valid JSON"):
        load_base(BaseSettings(base=str(tiny_copy)))


def test_damaged_folders_are_said(tiny_copy: Path) -> None:
    weights = tiny_copy / UNET_FILE
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert "download it again" in one_line(tiny_copy)
    weights.unlink()
    assert "download it again" in one_line(tiny_copy)

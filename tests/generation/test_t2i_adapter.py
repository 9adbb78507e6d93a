"""Guidance by T2I-Adapters equals that of diffusers' own pipelines, and stands beside ControlNets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    MultiAdapter,
    StableDiffusionAdapterPipeline,
    StableDiffusionXLAdapterPipeline,
    T2IAdapter,
)
from PIL import Image
from safetensors.torch import save_file

from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.generation import PictureSettings, generate
from lapel.generation.control import Control, guided, load_controlnet
from lapel.generation.inpaint import InpaintSettings, inpaint
from lapel.training.pretraining.control import make_control

PROMPT = "a photo of a person wearing a red t-shirt, in a park"


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base(BaseSettings(base="tiny", precision="fp32"))


@pytest.fixture(scope="module")
def sdxl(small_sdxl: Path) -> Base:
    return load_base(BaseSettings(base=str(small_sdxl), precision="fp32"))


def adapter(seed: int, kind: str = "full_adapter", channels: int = 3) -> Any:
    """A T2I-Adapter of `tiny`'s levels, or of the small SDXL's, whose numbers are large enough to be seen."""
    widths = {"full_adapter": [64, 96, 128, 128], "light_adapter": [64, 96, 128], "full_adapter_xl": [32, 64, 64, 64]}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = T2IAdapter(channels, widths[kind], 2, 4, kind)
    for parameter in made.parameters():
        parameter.data *= 1.5
    return made.eval().requires_grad_(False)


def noise_map(seed: int, side: int = 96) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8))


def by_diffusers(base: Base, adapters: list[Any], maps: list[Image.Image], side: int, **how: Any) -> list[Image.Image]:
    parts = {name: part for name, part in base.pipeline().components.items() if name != "image_encoder"}
    whole = adapters[0] if len(adapters) == 1 else MultiAdapter(adapters)
    if base.family.text_encoders == 2:
        pipeline: Any = StableDiffusionXLAdapterPipeline(**parts, adapter=whole)
    else:
        pipeline = StableDiffusionAdapterPipeline(**parts, adapter=whole, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    how |= {"width": side, "height": side, "num_inference_steps": 4, "guidance_scale": 5.0}
    shown: Any = maps if len(maps) > 1 else maps[0]
    generators = [torch.Generator().manual_seed(0)]
    return pipeline(prompt=PROMPT, negative_prompt="", image=shown, generator=generators, **how).images


def by_lapel(base: Base, controls: list[Control], side: int = 96) -> list[Image.Image]:
    picture = PictureSettings(prompt=PROMPT, steps=4, seeds=[0], guidance=5.0, width=side, height=side)
    pipeline = base.pipeline()
    with guided(pipeline, controls, (side, side)):
        return generate(pipeline, picture)


def apart(one: list[Image.Image], other: list[Image.Image]) -> int:
    pairs = zip(one, other, strict=True)
    return max(int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max()) for a, b in pairs)


@pytest.mark.parametrize(("kind", "channels"), [("full_adapter", 3), ("full_adapter", 1), ("light_adapter", 3)])
def test_one_map_is_as_in_diffusers(base: Base, kind: str, channels: int) -> None:
    guide, shown = adapter(0, kind, channels), noise_map(0)
    grey = shown if channels == 3 else Image.fromarray(np.asarray(shown)[..., 0])
    ours = by_lapel(base, [Control(guide, grey.convert("RGB"), 0.7)])
    assert apart(ours, by_diffusers(base, [guide], [grey], 96, adapter_conditioning_scale=0.7)) <= 1
    assert apart(ours, by_lapel(base, [])) > 8


def test_sdxls_is_as_in_diffusers(sdxl: Base) -> None:
    guide, shown = adapter(1, "full_adapter_xl"), noise_map(1, 64)
    ours = by_lapel(sdxl, [Control(guide, shown, 0.7)], 64)
    assert apart(ours, by_diffusers(sdxl, [guide], [shown], 64, adapter_conditioning_scale=0.7)) <= 1
    assert apart(ours, by_lapel(sdxl, [], 64)) > 2
    half = by_lapel(sdxl, [Control(guide, shown, end=0.5)], 64)
    assert apart(half, by_diffusers(sdxl, [guide], [shown], 64, adapter_conditioning_factor=0.5)) <= 1
    assert apart(half, ours) > 2


def test_two_add_up_as_in_diffusers(base: Base) -> None:
    guides, maps = [adapter(2), adapter(3)], [noise_map(2), noise_map(3)]
    ours = by_lapel(base, [Control(guides[0], maps[0], 0.4), Control(guides[1], maps[1], 0.6)])
    assert apart(ours, by_diffusers(base, guides, maps, 96, adapter_conditioning_scale=[0.4, 0.6])) <= 1


def test_it_stands_beside_a_controlnet(base: Base) -> None:
    net, generator = make_control(base.unet), torch.Generator().manual_seed(4)
    for name, weight in net.named_parameters():
        if "controlnet_" in name:
            weight.data = 0.1 * torch.randn(weight.shape, generator=generator)
    one, other = Control(net.eval(), noise_map(4)), Control(adapter(4), noise_map(5))
    both = by_lapel(base, [one, other])
    assert apart(both, by_lapel(base, [one])) > 8 and apart(both, by_lapel(base, [other])) > 8
    assert apart(by_lapel(base, [other, one]), both) <= 1
    nothing = Control(adapter(4), noise_map(5), weight=0.0)
    assert apart(by_lapel(base, [one, nothing]), by_lapel(base, [one])) == 0


def test_guess_mode_leaves_the_negative_prompt_alone(base: Base) -> None:
    guide = adapter(6)
    plain, guessed = (by_lapel(base, [Control(guide, noise_map(6), guess_mode=mode)]) for mode in (False, True))
    assert apart(plain, guessed) > 8


def test_it_guides_inpainting_at_sizes_that_are_no_multiple(base: Base) -> None:
    photo, mask = noise_map(6).resize((120, 150)), Image.new("L", (120, 150))
    mask.paste(255, (30, 40, 90, 110))
    picture, pipeline = PictureSettings(prompt=PROMPT, steps=2, width=72, height=88), base.pipeline("inpaint")
    how = InpaintSettings(mask_feather=0)
    (plain,) = inpaint(base, pipeline, picture, photo, mask, how)
    (ours,) = inpaint(base, pipeline, picture, photo, mask, how, controls=[Control(adapter(7), noise_map(7))])
    inside = np.asarray(mask) > 0
    assert (np.asarray(ours)[~inside] == np.asarray(photo)[~inside]).all()
    assert (np.asarray(ours)[inside] != np.asarray(plain)[inside]).any()


def original_names(made: Any) -> dict[str, torch.Tensor]:
    """As TencentARC's files have them: full adapters count resnets through, light ones call them `body`."""
    found = {}
    for name, tensor in made.adapter.state_dict().items():
        parts = name.split(".")
        if parts[0] == "body" and parts[2] == "resnets" and "body.0.in_conv.weight" in made.adapter.state_dict():
            parts[2] = "body"
        elif parts[0] == "body" and parts[2] == "resnets":
            parts[1:4] = [str(2 * int(parts[1]) + int(parts[3]))]
        elif parts[0] == "body" and "conv_in.weight" in made.adapter.state_dict():
            parts[1] = str(2 * int(parts[1]))
        found[".".join(parts)] = tensor.contiguous()
    return found


@pytest.mark.parametrize("kind", ["full_adapter", "light_adapter"])
def test_folders_and_both_kinds_of_files_are_the_same(base: Base, kind: str, tmp_path: Path) -> None:
    made = adapter(8, kind)
    made.save_pretrained(tmp_path / "folder")
    save_file({name: tensor.contiguous() for name, tensor in made.state_dict().items()}, tmp_path / "a.safetensors")
    torch.save(original_names(made), tmp_path / "a.pth")
    for name in ("folder", "a.safetensors", "a.pth"):
        found = load_controlnet(str(tmp_path / name), base)
        assert isinstance(found, T2IAdapter)
        assert all(torch.equal(tensor, made.state_dict()[key]) for key, tensor in found.state_dict().items())


def test_sdxls_files_are_told_by_their_cells(sdxl: Base, tmp_path: Path) -> None:
    """Its adapters take cells of 16 pixels, and nothing else tells them from those of 1.x."""
    with torch.random.fork_rng():
        made = T2IAdapter(3, [32, 64, 64, 64], 2, 16, "full_adapter_xl")
    save_file(original_names(made), tmp_path / "xl.safetensors")
    from lapel.generation.guides import _adapter_from

    found = _adapter_from(tmp_path / "xl.safetensors")
    assert found.config.adapter_type == "full_adapter_xl" and found.downscale_factor == 16
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert all(torch.equal(one, other) for one, other in zip(found(image), made(image), strict=True))


def test_other_families_and_other_files_are_refused(base: Base, sdxl: Base, tmp_path: Path) -> None:
    adapter(9).save_pretrained(tmp_path / "tiny")
    adapter(9, "full_adapter_xl").save_pretrained(tmp_path / "xl")
    base.unet.save_pretrained(tmp_path / "unet")
    tensors = {f"adapter.{name}": tensor for name, tensor in list(original_names(adapter(9)).items())[:6]}
    save_file(tensors, tmp_path / "part.safetensors")
    for name, where, said in (
        ("xl", base, "another family"),
        ("tiny", sdxl, "another family"),
        ("unet", base, "it is a UNet2DConditionModel"),
        ("part.safetensors", base, "cannot be loaded"),
    ):
        with pytest.raises(UserError, match=said) as refused:
            load_controlnet(str(tmp_path / name), where)
        assert len(str(refused.value).splitlines()) == 1


def test_families_are_told_apart_at_their_true_shapes() -> None:
    """On the meta device, which computes shapes and nothing else. SDXL's have the channels of 1.x, in other cells."""
    from types import SimpleNamespace

    from lapel.generation.guides import _adapts

    attention = "CrossAttnDownBlock2D"
    levels = {
        "sd15": ((attention, attention, attention, "DownBlock2D"), (320, 640, 1280, 1280)),
        "sd2": ((attention, attention, attention, "DownBlock2D"), (320, 640, 1280, 1280)),
        "sdxl": (("DownBlock2D", attention, attention), (320, 640, 1280)),
    }
    with torch.device("meta"):
        adapters = {
            "full": T2IAdapter(),
            "light": T2IAdapter(3, [320, 640, 1280], 4, 8, "light_adapter"),
            "xl": T2IAdapter(3, [320, 640, 1280, 1280], 2, 16, "full_adapter_xl"),
        }
    fit = set()
    for family, (blocks, channels) in levels.items():
        config = SimpleNamespace(down_block_types=blocks, block_out_channels=channels)
        facts = {"unet": SimpleNamespace(config=config), "family": SimpleNamespace(name=family), "latent_stride": 8}
        whole: Any = SimpleNamespace(**facts, device="meta", dtype=torch.float32)
        fit |= {(name, family) for name, made in adapters.items() if _adapts(made, whole)}
    assert fit == {("full", "sd15"), ("light", "sd15"), ("xl", "sdxl")}

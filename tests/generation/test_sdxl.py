"""SDXL's two text encoders and conditions of size, in inpainting, under ControlNets and in regions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionXLControlNetPipeline
from PIL import Image

from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.generation import PictureSettings, generate
from lapel.generation.control import Control, ControlSettings, guided, read_controls
from lapel.generation.denoise import encode_prompts
from lapel.generation.inpaint import InpaintSettings, inpaint
from lapel.generation.regions import RegionAttnProcessor, Regions, regional
from lapel.training.pretraining.inpainting import make_inpainting

PLAIN = "a photo of a person wearing a blue t-shirt, in a park"
OTHER = "red trousers, at the beach"
SIDE = 64
HOW = InpaintSettings(mask_feather=3, padding=10)


@pytest.fixture(scope="module")
def base(small_sdxl: Path) -> Base:
    return load_base(BaseSettings(base=str(small_sdxl), precision="fp32"))


@pytest.fixture(scope="module", params=["text to image", "inpainting"])
def either(request: pytest.FixtureRequest, base: Base, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """The small SDXL, and one whose UNet takes nine channels."""
    if request.param == "text to image":
        return base
    folder = tmp_path_factory.mktemp("sdxl-inpainting")
    pipeline = base.pipeline()
    pipeline.unet = make_inpainting(pipeline.unet)
    pipeline.save_pretrained(folder)
    found = load_base(BaseSettings(base=str(folder), precision="fp32"))
    assert found.inpainting and found.family.name == "sdxl"
    return found


@pytest.fixture(scope="module")
def network(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a ControlNet of the small SDXL's build, whose layers of zeros are none."""
    made = ControlNetModel.from_unet(base.unet, conditioning_embedding_out_channels=(16, 32))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "controlnet_" in name:
                weight.copy_(0.2 * torch.randn(weight.shape, generator=generator))
    folder = tmp_path_factory.mktemp("network")
    made.save_pretrained(folder)
    noise((SIDE, SIDE), 1).save(folder / "map.png")
    return folder


def noise(size: tuple[int, int], seed: int) -> Image.Image:
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def photo_and_mask() -> tuple[Image.Image, Image.Image]:
    mask = Image.new("L", (110, 150))
    mask.paste(255, (30, 40, 80, 100))
    return noise(mask.size, 0), mask


def shown(network: Path, base: Base, weight: float = 1.0, guess_mode: bool = False) -> list[Control]:
    return read_controls(ControlSettings([str(network)], [network / "map.png"], [weight], guess_mode=guess_mode), base)


def asked(prompt: str = PLAIN, guidance: float = 5.0) -> PictureSettings:
    return PictureSettings(prompt, "blurry", 3, guidance, SIDE, SIDE, [3])


def draw(base: Base, controls: Sequence[Control], guidance: float = 5.0) -> np.ndarray:
    pipeline = base.pipeline()
    with guided(pipeline, controls, (SIDE, SIDE)):
        return np.asarray(generate(pipeline, asked(guidance=guidance))[0], int)


def change(base: Base, controls: Sequence[Control] = (), seeds: Sequence[int] = (3,)) -> list[np.ndarray]:
    picture = PictureSettings(PLAIN, "blurry", 2, seeds=[*seeds], batch=len(seeds))
    images = inpaint(base, base.pipeline("inpaint"), picture, *photo_and_mask(), HOW, controls=controls)
    return [np.asarray(image, int) for image in images]


def apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one - other).max())


def test_a_change_keeps_every_pixel_outside(either: Base) -> None:
    photo, mask = photo_and_mask()
    pixels, outside = np.asarray(photo, int), HOW.alpha(mask) == 0
    images = change(either, seeds=[3, 4])
    for image in images:
        assert (image[outside] == pixels[outside]).all()
        assert (image[~outside] != pixels[~outside]).mean() > 0.9
    assert (images[0] != images[1]).any()
    assert apart(images[1], change(either, seeds=[4])[0]) <= 2  # rounding of another batch


@pytest.mark.parametrize(("guidance", "guess_mode"), [(5.0, False), (1.0, False), (5.0, True)])
def test_a_controlnet_is_as_in_diffusers(base: Base, network: Path, guidance: float, guess_mode: bool) -> None:
    (control,) = shown(network, base, 0.7, guess_mode)
    parts = {name: part for name, part in base.pipeline().components.items() if name != "image_encoder"}
    theirs: Any = StableDiffusionXLControlNetPipeline(**parts, controlnet=control.network, add_watermarker=False)
    theirs.set_progress_bar_config(disable=True)
    how: dict[str, Any] = {"num_inference_steps": 3, "guidance_scale": guidance, "guess_mode": guess_mode}
    how |= {"controlnet_conditioning_scale": 0.7, "generator": torch.Generator().manual_seed(3)}
    (wanted,) = theirs(PLAIN, negative_prompt="blurry", image=control.map, width=SIDE, height=SIDE, **how).images
    ours = draw(base, [control], guidance=guidance)
    assert apart(ours, np.asarray(wanted, int)) <= 1
    assert apart(ours, draw(base, [], guidance=guidance)) > 8


def test_a_controlnet_without_weight_is_none(base: Base, network: Path) -> None:
    plain = draw(base, [])
    assert apart(draw(base, shown(network, base, 0.0)), plain) == 0
    assert apart(draw(base, shown(network, base)), plain) > 8
    assert apart(draw(base, []), plain) == 0  # the UNet is as before


def test_a_controlnet_guides_a_change(either: Base, network: Path) -> None:
    photo, mask = photo_and_mask()
    (plain,), (ours,) = change(either), change(either, shown(network, either))
    outside = HOW.alpha(mask) == 0
    assert (ours[outside] == np.asarray(photo, int)[outside]).all()
    assert apart(ours[~outside], plain[~outside]) > 8
    assert apart(change(either, shown(network, either, 0.0))[0], plain) == 0


def by_regions(base: Base, prompt: str, *words: str) -> np.ndarray:
    """One region: everywhere; two: the left half and the right one."""
    left = np.arange(SIDE)[None].repeat(SIDE, 0) < SIDE // 2
    masks = (left | True,) if len(words) == 1 else (left, ~left)
    pipeline = base.pipeline()
    with regional(pipeline, Regions((SIDE, SIDE), words, masks)):
        return np.asarray(generate(pipeline, asked(prompt))[0], int)


def test_a_regions_words_are_read_by_both_text_encoders(base: Base) -> None:
    """One region everywhere is its prompt, but for the pooled text, which stays the picture's own."""
    pipeline = base.pipeline()
    said, own, unsaid = (encode_prompts(pipeline, [words]) for words in (OTHER, PLAIN, "blurry"))
    texts = {f"negative_{name}": value for name, value in unsaid.items()} | said
    texts["pooled_prompt_embeds"] = own["pooled_prompt_embeds"]
    how = {"num_inference_steps": 3, "guidance_scale": 5.0, "width": SIDE, "height": SIDE}
    (image,) = pipeline(**texts, **how, generator=[torch.Generator().manual_seed(3)]).images
    drawn = by_regions(base, PLAIN, OTHER)
    assert apart(drawn, np.asarray(image, int)) <= 1
    assert apart(drawn, draw(base, [])) > 1
    assert not any(isinstance(one, RegionAttnProcessor) for one in base.unet.attn_processors.values())


def test_halves_have_words_of_their_own(base: Base) -> None:
    whole = by_regions(base, PLAIN, OTHER)
    assert apart(by_regions(base, PLAIN, OTHER, OTHER), whole) <= 1
    plain, half = draw(base, []), SIDE // 2
    for words, side in (((OTHER, PLAIN), slice(None, half)), ((PLAIN, OTHER), slice(half, None))):
        changed = np.abs(by_regions(base, PLAIN, *words) - plain)
        assert changed[:, side].mean() > 1.2 * changed[:, ::-1][:, side].mean()  # random layers mix the halves a little

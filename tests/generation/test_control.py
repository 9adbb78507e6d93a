"""Guidance by maps equals that of diffusers' own ControlNet pipelines, and goes where those do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, MultiControlNetModel, StableDiffusionControlNetPipeline
from PIL import Image
from safetensors.torch import save_file

from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.generation import PictureSettings, generate
from lapel.generation.control import Control, ControlSettings, guided, load_controlnet, read_controls
from lapel.generation.inpaint import InpaintSettings, inpaint
from lapel.photos.people.library import library_pose
from lapel.training.pretraining.control import make_control

PROMPT = "a photo of a person wearing a red t-shirt, in a park"


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base(BaseSettings(base="tiny", precision="fp32"))


def network(base: Base, seed: int) -> Any:
    """A ControlNet of `tiny`'s build whose layers of zeros are none."""
    made, generator = make_control(base.unet), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "controlnet_" in name:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    return made.eval().requires_grad_(False)


def noise_map(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (96, 96, 3), np.uint8))


def by_diffusers(base: Base, networks: list[Any], maps: list[Image.Image], **how: Any) -> list[Image.Image]:
    parts = dict(base.pipeline().components)
    whole = networks[0] if len(networks) == 1 else MultiControlNetModel(networks)
    pipeline = StableDiffusionControlNetPipeline(**parts, controlnet=whole, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    shown: Any = [maps] * 2 if len(maps) > 1 else maps * 2
    how.setdefault("guidance_scale", 5.0)
    return pipeline([PROMPT] * 2, shown, num_inference_steps=4, generator=generators, **how).images


def by_lapel(base: Base, controls: list[Control], guidance: float = 5.0) -> list[Image.Image]:
    picture = PictureSettings(prompt=PROMPT, steps=4, seeds=[0, 1], batch=2, guidance=guidance)
    pipeline = base.pipeline()
    with guided(pipeline, controls, (96, 96)):
        return generate(pipeline, picture)


def same(one: list[Image.Image], other: list[Image.Image]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max() <= 1 for a, b in pairs)


def test_one_map_is_as_in_diffusers(base: Base) -> None:
    guide, shown = network(base, 0), noise_map(0)
    ours = by_lapel(base, [Control(guide, shown, 0.7)])
    assert same(ours, by_diffusers(base, [guide], [shown], controlnet_conditioning_scale=0.7))
    assert not same(ours, by_lapel(base, []))


def test_two_maps_add_up_as_in_diffusers(base: Base) -> None:
    guides, maps = [network(base, 1), network(base, 2)], [noise_map(1), noise_map(2)]
    ours = by_lapel(base, [Control(guides[0], maps[0], 0.4), Control(guides[1], maps[1], 0.6)])
    assert same(ours, by_diffusers(base, guides, maps, controlnet_conditioning_scale=[0.4, 0.6]))


@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_guess_mode_is_as_in_diffusers(base: Base, guidance: float) -> None:
    guide, shown = network(base, 3), noise_map(3)
    ours = by_lapel(base, [Control(guide, shown, 1.0, guess_mode=True)], guidance)
    assert same(ours, by_diffusers(base, [guide], [shown], guess_mode=True, guidance_scale=guidance))


def test_a_part_of_the_steps_is_as_in_diffusers(base: Base) -> None:
    guide, shown = network(base, 4), noise_map(4)
    ours = by_lapel(base, [Control(guide, shown, start=0.25, end=0.75)])
    theirs = by_diffusers(base, [guide], [shown], control_guidance_start=0.25, control_guidance_end=0.75)
    assert same(ours, theirs)


def test_the_unet_is_as_before_afterwards_and_zeros_change_nothing(base: Base) -> None:
    plain = by_lapel(base, [])
    assert same(by_lapel(base, [Control(make_control(base.unet).eval(), noise_map(5))]), plain)
    by_lapel(base, [Control(network(base, 5), noise_map(5))])
    assert same(by_lapel(base, []), plain)


def test_a_map_guides_inpainting_too(base: Base) -> None:
    photo, mask = noise_map(6).resize((120, 150)), Image.new("L", (120, 150))
    mask.paste(255, (30, 40, 90, 110))
    picture, pipeline = PictureSettings(prompt=PROMPT, steps=2), base.pipeline("inpaint")
    how = InpaintSettings(mask_feather=0)
    (plain,) = inpaint(base, pipeline, picture, photo, mask, how)
    (ours,) = inpaint(base, pipeline, picture, photo, mask, how, controls=[Control(network(base, 6), noise_map(7))])
    inside = np.asarray(mask) > 0
    assert (np.asarray(ours)[~inside] == np.asarray(photo)[~inside]).all()
    assert (np.asarray(ours)[inside] != np.asarray(plain)[inside]).any()


def test_controlnets_are_loaded_and_others_refused(base: Base, tmp_path: Path) -> None:
    network(base, 0).save_pretrained(tmp_path / "ours")
    noise_map(0).save(tmp_path / "map.png")
    settings = ControlSettings([str(tmp_path / "ours")], [tmp_path / "map.png"])
    (control,) = read_controls(settings, base)
    assert isinstance(control.network, ControlNetModel) and control.weight == 1.0
    config = {"block_out_channels": (32,), "down_block_types": ("DownBlock2D",), "cross_attention_dim": 32}
    ControlNetModel(**config, norm_num_groups=8, attention_head_dim=8).save_pretrained(tmp_path / "theirs")
    with pytest.raises(UserError, match="another family"):
        read_controls(ControlSettings([str(tmp_path / "theirs")], [tmp_path / "map.png"]), base)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="cannot be loaded as a ControlNet"):
        read_controls(ControlSettings([str(tmp_path / "empty")], [tmp_path / "map.png"]), base)


def test_single_files_are_loaded_without_the_hub(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = network(base, 0)
    save_file(made.state_dict(), tmp_path / "ours.safetensors")
    torch.save(made.state_dict(), tmp_path / "ours.pth")
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the hub"))
    for name in ("ours.safetensors", "ours.pth"):
        found = load_controlnet(str(tmp_path / name), base).state_dict()
        assert found.keys() == made.state_dict().keys()
        assert all(torch.equal(found[key], tensor) for key, tensor in made.state_dict().items())
    wide = {name: torch.zeros(8, 768) if "attn2.to_k" in name else t for name, t in made.state_dict().items()}
    save_file(wide, tmp_path / "theirs.safetensors")
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    for name, said in (("theirs", "ControlNet of another family"), ("other", "no ControlNet's")):
        with pytest.raises(UserError, match=said):
            load_controlnet(str(tmp_path / f"{name}.safetensors"), base)


def test_settings_are_checked_at_the_door(tmp_path: Path) -> None:
    maps = [tmp_path / "none.png", tmp_path / "none.png"]
    with pytest.raises(UserError, match="2 maps for 1 ControlNets") as refused:
        ControlSettings(["tiny"], maps, control_start=[0.8], control_end=[0.2])
    assert len(refused.value.lines) == 4
    (tmp_path / "a.png").touch()
    with pytest.raises(UserError, match="2 of control_weight for 1"):
        ControlSettings(["tiny"], [tmp_path / "a.png"], [1.0, 0.5])


def test_each_has_its_own_weight_and_part_of_the_steps(tmp_path: Path, base: Base) -> None:
    noise_map(0).save(tmp_path / "a.png")
    settings = ControlSettings(["tiny"] * 2, [tmp_path / "a.png"] * 2, [0.5], [0.0, 0.5], [0.5, 1.0])
    found = [(control.weight, control.start, control.end) for control in read_controls(settings, base)]
    assert found == [(0.5, 0.0, 0.5), (0.5, 0.5, 1.0)]


def test_the_shipped_one_follows_a_pose(base: Base) -> None:
    """Before a white wall, arms that reach out are seen where those that hang down are not."""
    reached = {}
    for pose in ("t-pose", "standing"):
        settings = ControlSettings(["tiny"], [Path(f"pose:{pose}@half")])
        pipeline, controls = base.pipeline(), read_controls(settings, base)
        prompt = "a photo of a person wearing a red long sleeve shirt, in a white studio"
        with guided(pipeline, controls, (96, 96)):
            images = generate(pipeline, PictureSettings(prompt=prompt, steps=12, images=4, batch=4))
        out = library_pose("t-pose@half", (96, 96))
        columns = [round(point[0]) for side in ("right", "left") if (point := out.get(f"{side} elbow"))]
        row = round((out.get("right elbow") or (0, 0))[1])
        red = [np.asarray(image, int)[row - 3 : row + 4, columns] for image in images]
        reached[pose] = float(np.mean([(pixels[..., 0] - pixels[..., 1] > 60).mean() for pixels in red]))
    assert reached["t-pose"] > 0.6 > 0.2 > reached["standing"]

"""Names and shapes of the published bases, checked on models without memory and against diffusers' own converter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lapel.base.base import Base
from lapel.base.configs import TEXT_CONFIGS, UNET_CONFIGS, text_config, write_configs
from lapel.base.families import FAMILIES, family_of
from lapel.base.find import single_file_family
from lapel.base.ldm import ldm_name
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.errors import UserError


def ldm_state(unet: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A UNet's weights under the original code's names."""
    attention = ["CrossAttn" in kind for kind in unet.config.up_block_types]
    state = {}
    for key, value in unet.state_dict().items():
        module, kind = key.rsplit(".", 1)
        state[f"model.diffusion_model.{ldm_name(module, unet.config.layers_per_block, attention)}.{kind}"] = value
    return state


@pytest.mark.parametrize(
    ("family", "parameters"), [("sd15", 859_520_964), ("sd2", 865_910_724), ("sdxl", 2_567_463_684)]
)
def test_original_names_are_what_diffusers_converts(family: str, parameters: int, tmp_path: Path) -> None:
    from accelerate import init_empty_weights
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    write_configs(family, "epsilon", tmp_path)
    with init_empty_weights():
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(tmp_path / "unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(tmp_path / "vae"))
    assert sum(p.numel() for p in unet.parameters()) == parameters
    assert sum(p.numel() for p in vae.parameters()) == 83_653_863
    # Values are numbers in place of weights, so that a name that goes astray is seen even where shapes agree.
    state = ldm_state(unet)
    tagged = {key: torch.tensor(number) for number, key in enumerate(state)}
    converted = convert_ldm_unet_checkpoint(tagged, unet.config)
    assert {key: int(value) for key, value in converted.items()} == {k: n for n, k in enumerate(unet.state_dict())}
    assert family_of(dict(unet.config)) is FAMILIES[family]


@pytest.mark.parametrize(
    ("family", "number", "parameters"),
    [("sd15", 0, 123_060_480), ("sd2", 0, 340_387_840), ("sdxl", 0, 123_060_480), ("sdxl", 1, 694_659_840)],
)
def test_text_encoders_have_their_published_size(family: str, number: int, parameters: int) -> None:
    from accelerate import init_empty_weights
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    with init_empty_weights():
        model = (CLIPTextModelWithProjection if number else CLIPTextModel)(text_config(family, number))
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(TEXT_CONFIGS[family]) == FAMILIES[family].text_encoders


def test_names_that_no_unet_has() -> None:
    with pytest.raises(KeyError):
        ldm_name("down_blocks.0.motion_modules.0.proj_in", 2, [False, True, True, True])


def test_refiner_and_inpainting_are_no_bases() -> None:
    refiner = {"addition_embed_type": "text_time", "down_block_types": ("DownBlock2D",) * 4}
    assert family_of(refiner) is None
    assert family_of({**UNET_CONFIGS["sd15"], "in_channels": 9}) is None


def vae_key(key: str, levels: int) -> str:
    """The original code's name of a VAE's weight."""
    renames = {"mid_block.resnets.0": "mid.block_1", "mid_block.resnets.1": "mid.block_2"}
    renames |= {"mid_block.attentions.0": "mid.attn_1", "group_norm": "norm", "conv_shortcut": "nin_shortcut"}
    renames |= {"to_out.0": "proj_out", "to_q": "q", "to_k": "k", "to_v": "v", "conv_norm_out": "norm_out"}
    renames |= {"downsamplers.0": "downsample", "upsamplers.0": "upsample", "resnets": "block"}
    renames |= {f"down_blocks.{i}": f"down.{i}" for i in range(levels)}
    renames |= {f"up_blocks.{i}": f"up.{levels - 1 - i}" for i in range(levels)}
    for ours, theirs in renames.items():
        key = key.replace(ours, theirs)
    return f"first_stage_model.{key}"


def write_single_file(base: Base, path: Path, **metadata: str) -> None:
    """The base as one checkpoint in the original layout."""
    state = ldm_state(base.unet)
    levels = len(base.vae.config.block_out_channels)
    for key, value in base.vae.state_dict().items():
        weight = value[:, :, None, None] if "attentions" in key and "to_" in key and value.dim() == 2 else value
        state[vae_key(key, levels)] = weight
    for key, value in base.text_encoders[0].state_dict().items():
        state[f"cond_stage_model.transformer.text_model.{key.removeprefix('text_model.')}"] = value
    save_file({key: value.contiguous() for key, value in state.items()}, path, metadata=metadata)


def test_a_single_file_loads_as_the_folder_does(tmp_path: Path) -> None:
    tiny = load_base(BaseSettings(precision="fp32"))
    path = tmp_path / "one.safetensors"
    write_single_file(tiny, path, **{"modelspec.license": "apache-2.0"})
    assert single_file_family(path) == ("tiny", FAMILIES["sd15"])
    loaded = load_base(BaseSettings(base=str(path), precision="fp32"))
    for part in ("unet", "vae"):
        expected, found = getattr(tiny, part).state_dict(), getattr(loaded, part).state_dict()
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    captions = ["a red shirt on a beach"]
    assert torch.equal(tiny.encode_text(captions)["prompt_embeds"], loaded.encode_text(captions)["prompt_embeds"])
    assert (loaded.resolution, loaded.prediction_type) == (tiny.resolution, tiny.prediction_type)
    assert loaded.licence == "apache-2.0"

    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="truncated"):
        load_base(BaseSettings(base=str(path)))


@pytest.mark.parametrize(("width", "family"), [(768, "sd15"), (1024, "sd2"), (2048, "sdxl")])
def test_single_files_are_told_apart_by_the_width_of_text(width: int, family: str, tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    keys = {
        "input_blocks.0.0.weight": (8, 4, 3, 3),
        "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (8, width),
    }
    save_file({f"model.diffusion_model.{key}": torch.zeros(shape) for key, shape in keys.items()}, path)
    assert single_file_family(path) == (family, FAMILIES[family])

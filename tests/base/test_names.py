"""Names and shapes of the published bases, checked on models without memory and against diffusers' own converter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lapel.base.configs import TEXT_CONFIGS, UNET_CONFIGS, text_config, write_configs
from lapel.base.families import FAMILIES, family_of
from lapel.base.ldm import ldm_name, ldm_vae_name
from lapel.base.save import open_clip_tensors, published_state, unet_tensors


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
    state = {f"model.diffusion_model.{name}": value for name, value in unet_tensors(unet).items()}
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


def test_refiners_and_unets_of_other_inputs_are_no_bases() -> None:
    refiner = {"addition_embed_type": "text_time", "down_block_types": ("DownBlock2D",) * 4}
    assert family_of(refiner) is None
    assert family_of({**UNET_CONFIGS["sd15"], "in_channels": 8}) is None
    assert family_of({**UNET_CONFIGS["sd15"], "in_channels": 9}) is FAMILIES["sd15"]


@pytest.mark.parametrize("family", ["sd15", "sd2", "sdxl"])
def test_original_vae_names_are_what_diffusers_converts(family: str, tmp_path: Path) -> None:
    from accelerate import init_empty_weights
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    write_configs(family, "epsilon", tmp_path)
    config = AutoencoderKL.load_config(tmp_path / "vae")
    with init_empty_weights():
        vae = AutoencoderKL.from_config(config)
    levels = len(vae.config.block_out_channels)
    tagged = {f"first_stage_model.{ldm_vae_name(key, levels)}": key for key in vae.state_dict()}
    assert len(tagged) == len(vae.state_dict()) == 248
    numbered = {name: torch.full((1, 1), number) for number, name in enumerate(tagged)}
    converted = convert_ldm_vae_checkpoint(numbered, config)
    assert {key: int(value) for key, value in converted.items()} == {k: n for n, k in enumerate(vae.state_dict())}


def test_open_clips_names_are_what_diffusers_converts() -> None:
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    encoder = CLIPTextModelWithProjection(CLIPTextConfig(**sizes, vocab_size=40, projection_dim=16))
    for spare_layer in (False, True):
        state = open_clip_tensors(published_state(encoder), spare_layer)
        assert ("transformer.resblocks.2.attn.in_proj_weight" in state) == spare_layer
        prefix = "conditioner.embedders.1.model."
        file = {f"{prefix}{name}": value for name, value in state.items()}
        converted = convert_open_clip_checkpoint(encoder, file, prefix)
        kept = {name: value for name, value in converted.items() if ".layers.2." not in name}
        expected = encoder.state_dict()
        assert kept.keys() == expected.keys()
        assert all(torch.equal(kept[name], expected[name]) for name in expected)

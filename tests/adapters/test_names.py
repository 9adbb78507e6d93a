"""Which layers are adapted, and what a file calls them, at the published bases' true shapes (without memory)."""

from __future__ import annotations

import re
from functools import cache

import pytest
import torch
from torch import nn

from lapel.adapters.diffusers_layout import diffusers_tensors
from lapel.adapters.kinds import DOWN, UP
from lapel.adapters.kohya import kohya_tensors
from lapel.adapters.names import family_names
from lapel.adapters.targets import TEXT_LAYERS, target_layers
from lapel.base.configs import TEXT_CONFIGS, UNET_CONFIGS, text_config
from lapel.base.ldm import published_name


@cache
def unet(family: str) -> nn.Module:
    from accelerate import init_empty_weights
    from diffusers import UNet2DConditionModel

    with init_empty_weights():
        return UNet2DConditionModel(**UNET_CONFIGS[family])


def unet_stems(family: str, convolutions: bool) -> list[str]:
    model, layers = unet(family), target_layers(convolutions)
    names = [name for name, _ in model.named_modules() if re.fullmatch(layers, name)]
    return [family_names(family).stems[f"unet.{name}"] for name in names]


def text_stems(family: str, number: int) -> list[str]:
    from accelerate import init_empty_weights
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    with init_empty_weights():
        model = (CLIPTextModelWithProjection if number else CLIPTextModel)(text_config(family, number))
    part = "text_encoder_2" if number else "text_encoder"
    names = [name for name, _ in model.named_modules() if re.fullmatch(TEXT_LAYERS, name)]
    return [family_names(family).stems[f"{part}.{published_name(name)}"] for name in names]


@pytest.mark.parametrize(("family", "plain", "locon"), [("sd15", 192, 278), ("sd2", 192, 278), ("sdxl", 722, 788)])
def test_unet_module_counts(family: str, plain: int, locon: int) -> None:
    for convolutions, count in ((False, plain), (True, locon)):
        stems = unet_stems(family, convolutions)
        assert len(stems) == len(set(stems)) == count
    assert set(unet_stems(family, False)) < set(unet_stems(family, True))


@pytest.mark.parametrize(
    ("family", "number", "prefix", "layers"),
    [
        ("sd15", 0, "lora_te_", 12),
        ("sd2", 0, "lora_te_", 23),
        ("sdxl", 0, "lora_te1_", 12),
        ("sdxl", 1, "lora_te2_", 32),
    ],
)
def test_text_encoder_names(family: str, number: int, prefix: str, layers: int) -> None:
    modules = [f"self_attn_{name}" for name in ("q_proj", "k_proj", "v_proj", "out_proj")] + ["mlp_fc1", "mlp_fc2"]
    expected = {f"{prefix}text_model_encoder_layers_{i}_{module}" for i in range(layers) for module in modules}
    assert set(text_stems(family, number)) == expected
    assert len(TEXT_CONFIGS[family][number]) > 0


@pytest.mark.parametrize("family", ["sd15", "sd2"])
def test_sd1_and_sd2_keep_diffusers_names(family: str) -> None:
    stems = set(unet_stems(family, True))
    block = "lora_unet_down_blocks_0_attentions_0"
    assert {f"{block}_proj_in", f"{block}_proj_out"} < stems
    assert {f"{block}_transformer_blocks_0_attn1_to_q", f"{block}_transformer_blocks_0_attn2_to_out_0"} < stems
    assert {f"{block}_transformer_blocks_0_ff_net_0_proj", f"{block}_transformer_blocks_0_ff_net_2"} < stems
    assert {"lora_unet_down_blocks_0_downsamplers_0_conv", "lora_unet_up_blocks_1_resnets_0_conv_shortcut"} < stems
    assert {"lora_unet_mid_block_attentions_0_proj_in", "lora_unet_up_blocks_1_attentions_0_proj_out"} < stems


def test_sdxl_has_the_original_codes_names() -> None:
    stems = set(unet_stems("sdxl", True))
    assert {
        "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q",
        "lora_unet_input_blocks_8_1_transformer_blocks_9_ff_net_2",
        "lora_unet_middle_block_1_proj_in",
        "lora_unet_middle_block_0_in_layers_2",
        "lora_unet_middle_block_2_out_layers_3",
        "lora_unet_output_blocks_0_1_transformer_blocks_0_attn2_to_k",
        "lora_unet_input_blocks_3_0_op",
        "lora_unet_input_blocks_4_0_skip_connection",
        "lora_unet_output_blocks_2_2_conv",
        "lora_unet_output_blocks_5_2_conv",
        "lora_unet_output_blocks_8_0_emb_layers_1",
    } < stems
    assert all(name.startswith(("lora_unet_input_", "lora_unet_middle_", "lora_unet_output_")) for name in stems)


@pytest.mark.parametrize("family", ["sd15", "sd2", "sdxl"])
def test_diffusers_maps_every_name_back(family: str) -> None:
    """diffusers' own converter, which knows nothing of our table, finds each module again."""
    from diffusers.loaders.lora_conversion_utils import (
        _convert_non_diffusers_lora_to_diffusers,
        _maybe_map_sgm_blocks_to_diffusers,
    )

    model, layers = unet(family), target_layers(convolutions=True)
    names = [name for name, _ in model.named_modules() if re.fullmatch(layers, name)]
    tensors = {}
    for number, name in enumerate(names):
        key = family_names(family).stems[f"unet.{name}"]
        tensors |= {f"{key}.lora_{side}.weight": torch.tensor(number) for side in ("down", "up")}
        tensors[f"{key}.alpha"] = torch.tensor(1.0)
    if family == "sdxl":
        tensors = _maybe_map_sgm_blocks_to_diffusers(tensors, model.config)
    converted, alphas = _convert_non_diffusers_lora_to_diffusers(tensors)
    assert len(alphas) == len(names)
    found = {}
    for key, number in converted.items():
        key = key.removeprefix("unet.").replace(".processor", "").replace("to_out_lora", "to_out.0.lora")
        found.setdefault(int(number), set()).add(re.sub(r"[._]lora\.(down|up)\.weight$", "", key))
    assert found == {number: {name} for number, name in enumerate(names)}


@pytest.mark.parametrize(
    ("family", "convolutions", "count"),
    [("sd15", False, 792), ("sd15", True, 1050), ("sd2", True, 1248), ("sdxl", False, 2958), ("sdxl", True, 3156)],
)
def test_how_many_tensors_a_file_has(family: str, convolutions: bool, count: int) -> None:
    """The counts that front ends were measured with, of layers of one number each."""
    targets = target_layers(convolutions)
    names = family_names(family)
    chosen = [name for name in names.stems if re.fullmatch(targets if name.startswith("unet.") else TEXT_LAYERS, name)]
    layers = {name: {DOWN: torch.ones(1, 1), UP: torch.ones(1, 1)} for name in chosen}
    tensors = kohya_tensors(names, layers, torch.float16)
    assert len(tensors) == count == 3 * len(diffusers_tensors(layers, torch.float16)) // 2

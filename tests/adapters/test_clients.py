"""What each front end makes of a file: the cases that were measured on their own code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lapel.adapters.clients import judge, meant_for
from lapel.adapters.diffusers_layout import diffusers_tensors
from lapel.adapters.kinds import DOWN, UP
from lapel.adapters.kohya import kohya_tensors
from lapel.adapters.layers import Layer, Layers
from lapel.adapters.names import family_names
from lapel.adapters.read import read_adapter

ALL = ["WebUI", "Forge", "ComfyUI", "InvokeAI", "diffusers"]
META = {
    "sd15": {"ss_base_model_version": "sd_v1"},
    "sd2": {"ss_v2": "True"},
    "sdxl": {"ss_base_model_version": "sdxl_base_v1-0"},
}


def lora(into: int = 5, **more: torch.Tensor) -> Layer:
    return {DOWN: torch.randn(2, into), UP: torch.randn(6, 2), **more}


def chosen(family: str, pattern: str) -> Layers:
    return {name: lora() for name in family_names(family).stems if pattern in name}


def whole_in(path: Path, tensors: dict[str, torch.Tensor], family: str, metadata: dict[str, str] | None) -> list[str]:
    """The front ends that a file loads whole in."""
    save_file({key: value.clone() for key, value in tensors.items()}, path, metadata)
    adapter = read_adapter(path, family_names(family))
    verdicts = judge(adapter)
    assert [verdict.client for verdict in verdicts] == ALL
    for verdict in verdicts:
        assert (verdict.layers == len(adapter.layers)) == (not verdict.faults)
    return [verdict.client for verdict in verdicts if not verdict.faults]


@pytest.mark.parametrize("family", ["sd15", "sd2", "sdxl"])
def test_what_is_written_loads_everywhere(family: str, tmp_path: Path) -> None:
    layers = chosen(family, "attn") | chosen(family, "resnets.0.conv1")
    tensors = kohya_tensors(family_names(family), layers, torch.float16)
    assert whole_in(tmp_path / "a.safetensors", tensors, family, META[family]) == ALL
    assert meant_for(read_adapter(tmp_path / "a.safetensors")) == tuple(ALL)


def test_diffusers_layout_is_for_diffusers(tmp_path: Path) -> None:
    layers = chosen("sd15", "attentions.0")
    path = tmp_path / "a.safetensors"
    assert whole_in(path, diffusers_tensors(layers, torch.float16), "sd15", None) == ["diffusers"]
    adapter = read_adapter(path, family_names("sd15"))
    comfy = next(verdict for verdict in judge(adapter) if verdict.client == "ComfyUI")
    # Projections and feed-forward layers load there; the attention's do not.
    assert 0 < comfy.layers == sum(".attn" not in name for name in layers) < len(layers)
    assert meant_for(adapter) == ("diffusers",)


def test_a_file_without_a_family_is_hidden_from_sdxls_users(tmp_path: Path) -> None:
    tensors = kohya_tensors(family_names("sdxl"), chosen("sdxl", "attn2"), torch.float16)
    for metadata, shown in (({"format": "pt"}, False), (META["sdxl"], True), (META["sd15"], False), (None, True)):
        found = whole_in(tmp_path / "a.safetensors", tensors, "sdxl", metadata)
        assert ("WebUI" in found, "Forge" in found) == (shown, shown)
        assert {"ComfyUI", "InvokeAI", "diffusers"} <= set(found)


def test_webui_misses_one_name_of_diffusers_for_sdxl(tmp_path: Path) -> None:
    stems = ["lora_unet_up_blocks_0_upsamplers_0_conv", "lora_unet_up_blocks_0_attentions_0_proj_in"]
    tensors = {f"{stem}.{kind}": value for stem in stems for kind, value in lora().items()}
    found = whole_in(tmp_path / "a.safetensors", tensors, "sdxl", META["sdxl"])
    assert "WebUI" not in found and "Forge" in found


def test_text_encoders_by_the_names_and_sets_that_are_read(tmp_path: Path) -> None:
    path, layer = tmp_path / "a.safetensors", "text_model_encoder_layers_0_self_attn"

    def keys(*stems: str) -> dict[str, torch.Tensor]:
        return {f"{stem}.{kind}": value for stem in stems for kind, value in lora(768).items()}

    four = [f"{layer}_{part}_proj" for part in "qkv"] + [f"{layer}_out_proj"]
    assert whole_in(path, keys(*(f"lora_te_{name}" for name in four)), "sd15", META["sd15"]) == ALL
    assert whole_in(path, keys(f"lora_te_{layer}_q_proj"), "sd15", META["sd15"]) == ALL
    assert "WebUI" not in whole_in(path, keys(f"lora_te_{layer}_q_proj"), "sd2", META["sd2"])
    assert "InvokeAI" not in whole_in(path, keys(f"lora_te1_{layer}_q_proj"), "sd15", META["sd15"])
    bare = whole_in(path, keys("lora_te_encoder_layers_0_self_attn_q_proj"), "sd15", META["sd15"])
    assert bare == ["diffusers"]


def test_mixed_spellings_are_refused_by_invoke(tmp_path: Path) -> None:
    stems = ["lora_unet_down_blocks_1_attentions_0_proj_in", "lora_unet_input_blocks_4_1_proj_out"]
    tensors = {f"{stem}.{kind}": value for stem in stems for kind, value in lora().items()}
    assert "InvokeAI" not in whole_in(tmp_path / "a.safetensors", tensors, "sdxl", META["sdxl"])


def test_a_file_that_tells_invoke_no_family(tmp_path: Path) -> None:
    tensors = kohya_tensors(family_names("sd15"), chosen("sd15", "proj_in"), torch.float16)
    assert "InvokeAI" not in whole_in(tmp_path / "a.safetensors", tensors, "sd15", META["sd15"])


def test_doras_and_differences(tmp_path: Path) -> None:
    path, stem = tmp_path / "a.safetensors", "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    rows = {f"{stem}.{kind}": value for kind, value in lora(dora_scale=torch.ones(6, 1)).items()}
    columns = {f"{stem}.{kind}": value for kind, value in lora(dora_scale=torch.ones(1, 5)).items()}
    assert whole_in(path, rows, "sd15", META["sd15"]) == []
    assert whole_in(path, columns, "sd15", META["sd15"]) == ALL[:4]
    assert whole_in(path, {f"{stem}.diff": torch.ones(6, 5)}, "sd15", META["sd15"]) == ALL[:4]


def test_alphas_that_differ_are_misread_by_diffusers(tmp_path: Path) -> None:
    stems = [f"lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_{part}" for part in "kv"]
    tensors = {
        f"{stem}.{kind}": value
        for alpha, stem in enumerate(stems, 1)
        for kind, value in lora(alpha=torch.tensor(float(alpha))).items()
    }
    assert whole_in(tmp_path / "a.safetensors", tensors, "sd15", META["sd15"]) == ALL[:4]

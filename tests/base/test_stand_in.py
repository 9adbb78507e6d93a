"""Bases of the published shapes with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lapel.adapters.compare import Probe
from lapel.base import configs
from lapel.base.load import load_base
from lapel.base.save import single_file_tensors
from lapel.base.settings import BaseSettings
from lapel.base.stand_in import stand_in

THIN_UNETS = {
    "sd15": {"block_out_channels": (32, 64, 96, 96), "attention_head_dim": 2},
    "sd2": {"block_out_channels": (32, 64, 96, 96), "attention_head_dim": (2, 2, 2, 2)},
    "sdxl": {"block_out_channels": (32, 64, 96), "attention_head_dim": (2, 2, 2)},
}


@pytest.mark.parametrize("family", ["sd15", "sd2", "sdxl"])
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_numbers_go_through_a_base_of_every_family(
    family: str, prediction_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all layers, the text's true width and thin channels, so that it is quick."""
    monkeypatch.setitem(configs.UNET_CONFIGS, family, {**configs.UNET_CONFIGS[family], **THIN_UNETS[family]})
    monkeypatch.setattr(configs, "_VAE", {**configs._VAE, "block_out_channels": (32, 32, 32, 32)})
    monkeypatch.setattr(configs, "_SDXL_VAE", {**configs._SDXL_VAE, "block_out_channels": (32, 32, 32, 32)})
    thin = {"intermediate_size": 64, "num_hidden_layers": 2}
    for config in (configs._CLIP_L, configs._OPEN_CLIP_H, configs._OPEN_CLIP_G):
        for key, value in thin.items():
            monkeypatch.setitem(config, key, value)
    stand_in(family, tmp_path, torch.bfloat16, prediction_type)
    base = load_base(BaseSettings(base=str(tmp_path), precision="fp32"))
    assert (base.family.name, base.prediction_type) == (family, prediction_type)
    output = Probe(base, with_text=True).outputs(base)
    assert output.isfinite().all() and 0.1 < output.std() < 10
    unet = [name for name in single_file_tensors(base) if name.startswith("model.diffusion_model.")]
    assert len(unet) == {"sd15": 686, "sd2": 686, "sdxl": 1680}[family]

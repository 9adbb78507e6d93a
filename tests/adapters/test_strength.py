"""An adapter at another weight: its difference to the base is so many times as large, and comes back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lapel.adapters.inject import inject, without_adapter
from lapel.adapters.settings import AdapterSettings
from lapel.adapters.strength import at_strength
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.base.shapes import random_base


def test_a_layers_difference_scales_and_comes_back(tmp_path: Path) -> None:
    random_base("tiny", tmp_path)
    base = load_base(BaseSettings(base=str(tmp_path), precision="fp32"))
    for parameter in inject(base, AdapterSettings(rank=2)):
        parameter.data.normal_(generator=torch.Generator().manual_seed(parameter.numel()))
    layer = base.unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_q
    seen = torch.randn(3, layer.in_features, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = layer(seen)
        with without_adapter(base):
            own = layer(seen)
        for weight in (0.0, 0.4, 1.2):
            with at_strength(base, weight):
                torch.testing.assert_close(layer(seen) - own, weight * (whole - own), rtol=1e-4, atol=1e-4)
        with pytest.raises(RuntimeError), at_strength(base, 0.5):
            raise RuntimeError
        assert torch.equal(layer(seen), whole)

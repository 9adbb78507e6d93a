"""The adapter inside a base, and the base without it."""

from __future__ import annotations

import torch

from lapel.adapters.inject import inject, without_adapter
from lapel.adapters.settings import AdapterSettings
from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings


@torch.no_grad()
def outputs(base: Base) -> list[torch.Tensor]:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    text = base.encode_text(["a shirt"])
    return [base.unet(latents, 500, **base.unet_conditions(text)).sample, *text.values()]


def test_within_the_block_the_base_is_as_it_was_and_afterwards_the_adapter_is_back() -> None:
    base = load_base(BaseSettings(precision="fp32"))
    before = outputs(base)
    parameters = inject(base, AdapterSettings(rank=2, blocks=["unet", "text_encoder"]))
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(0.05)
    learned = outputs(base)
    with without_adapter(base):
        assert all(map(torch.equal, outputs(base), before))
    assert not any(map(torch.equal, learned, before))
    assert all(map(torch.equal, outputs(base), learned))
    assert all(parameter.requires_grad for parameter in parameters)

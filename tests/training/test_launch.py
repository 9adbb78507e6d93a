"""Mixed precision as a run turns it on: the numbers of autocast, without the copies of weights that it would keep."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.training.launch import make_accelerator
from lapel.training.plan.ledger import Ledger, tensors_of
from lapel.training.run_folder import RunFolder
from lapel.training.run_settings import RunSettings


def learn(base: Base, mixed: AbstractContextManager[Any]) -> tuple[int, list[Tensor]]:
    """The bytes on top of the weights and their gradients, and loss and gradients, of a step in which all learns."""
    chance = torch.Generator().manual_seed(0)
    latents, text = torch.randn(1, 4, 12, 12, generator=chance), torch.randn(1, 77, 192, generator=chance)
    with Ledger() as ledger:
        held = ledger.hold(tensors_of(base.unet))
        with mixed:
            loss = base.unet(latents, torch.tensor([700]), text).sample.float().square().mean()
        most = ledger.peak - held
        gradients = torch.autograd.grad(loss, list(base.unet.parameters()))
    return most, [loss.detach(), *gradients]


def test_no_copies_of_the_weights_are_kept_and_the_numbers_stay(tmp_path: Path) -> None:
    base = load_base(BaseSettings(precision="fp32", gradient_checkpointing=True))
    base.unet.requires_grad_(True)
    ours = make_accelerator("bf16", RunFolder(tmp_path), RunSettings(tracker="none"), 0).autocast()
    most, found = learn(base, ours)
    most_kept, plain = learn(base, torch.autocast("cpu", torch.bfloat16))
    assert all(map(torch.equal, found, plain))
    in_bf16 = 2 * sum(weight.numel() for weight in base.unet.parameters())
    assert most < most_kept - 0.8 * in_bf16

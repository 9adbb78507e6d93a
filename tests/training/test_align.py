"""What the encoder learns first: to add at every cross-attention what a description would add there."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from lapel.adapters.encoder import cross_attentions, inject_encoder
from lapel.adapters.encoder_settings import Form
from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.base.shapes import random_base
from lapel.base.stream import start_streaming
from lapel.training.align import Align, aligner, missed_share
from lapel.training.pairs import PairBatch

CAPTIONS = ["a t-shirt", "a dress", "a red striped t-shirt", "a blue plain dress", ""]


def test_the_missed_share_is_none_of_the_right_answer_and_all_of_none() -> None:
    wanted = torch.tensor([[[3.0, 4.0]], [[1.0, 0.0]]])
    assert missed_share(wanted, wanted).tolist() == [0.0, 0.0]
    assert missed_share(torch.zeros_like(wanted), wanted).tolist() == [1.0, 1.0]
    assert missed_share(wanted * torch.tensor([1.5, -1.0])[:, None, None], wanted).tolist() == [0.25, 4.0]


@pytest.fixture
def base(tmp_path: Path) -> Base:
    random_base("tiny", tmp_path, seed=0)
    return load_base(BaseSettings(base=str(tmp_path), precision="fp32"))


def made(base: Base, form: Form = "plus") -> tuple[Align, list[torch.nn.Parameter]]:
    """The loss on a base with a fresh encoder, and the encoder's parameters."""
    parameters, text = inject_encoder(base, form, 24), base.encode_text(CAPTIONS)
    mixed = torch.autocast("cpu", base.dtype, enabled=base.dtype != torch.float32)
    accelerator: Any = SimpleNamespace(autocast=lambda: mixed)
    return aligner(base, lambda rows: {name: one[rows] for name, one in text.items()}, accelerator), parameters


def batch(captions: list[int], described: list[int], taught: list[bool]) -> tuple[Tensor, PairBatch]:
    """Noised latents and what goes with them; the same example for the same place."""
    count, chance = len(captions), torch.Generator().manual_seed(5)
    latents, features = (torch.randn((2, *shape), generator=chance)[:count] for shape in ((4, 8, 8), (9, 24)))
    numbers = torch.tensor
    return latents, PairBatch(
        latents=latents,
        noise=latents,
        timesteps=numbers([100, 800])[:count],
        mask=latents[:, :1],
        captions=numbers(captions),
        dropped=numbers([False] * count),
        files=[""] * count,
        features=features,
        shown=[""] * count,
        described=numbers(described),
        taught=numbers(taught),
        aligning=True,
    )


def test_words_that_say_no_more_ask_for_nothing(base: Base) -> None:
    align, _ = made(base)
    values = [base.unet.attn_processors[name].to_v_ip[0].weight for _, name in cross_attentions(base.unet)]
    with torch.no_grad():
        kept = [value.clone() for value in values]
        for value in values:
            value.zero_()
        same, more = align(*batch([0, 1], [0, 1], [True] * 2)), align(*batch([0, 1], [2, 3], [True] * 2))
        for value, was in zip(values, kept, strict=True):
            value.copy_(was)
    assert same.item() < 1e-10 < 1e-4 < more.item()
    assert align(*batch([0, 1], [0, 1], [True] * 2)).item() > 1e-4  # what the encoder adds is then too much


def test_the_loss_is_the_mean_of_what_is_taught(base: Base) -> None:
    align, _ = made(base)
    with torch.no_grad():
        one = align(*batch([0], [2], [True]))
        assert torch.allclose(align(*batch([0, 1], [2, 1], [True, False])), one, rtol=1e-4)
        both, other = align(*batch([0, 1], [2, 3], [True] * 2)), align(*batch([0, 1], [2, 3], [False, True]))
        assert torch.allclose(both, (one + other) / 2, rtol=1e-4)
        assert align(*batch([0, 1], [2, 3], [False] * 2)).item() == 0


def test_the_encoder_alone_learns_and_comes_near_the_description(base: Base) -> None:
    align, parameters = made(base)
    examples = batch([0, 1], [2, 3], [True] * 2)
    optimizer = torch.optim.Adam(parameters, 3e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = align(*examples)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in parameters)
    assert {id(one) for one in parameters} == {id(one) for one in base.unet.parameters() if one.grad is not None}
    assert losses[-1] < 0.1 * losses[0]
    # What the steps did to the UNet besides is undone.
    assert all(base.unet.attn_processors[name].scale == [1.0] for _, name in cross_attentions(base.unet))
    assert not any(module._forward_hooks for module in base.unet.modules())


def test_sdxl_is_aligned_in_bf16(small_sdxl: Path) -> None:
    align, parameters = made(load_base(BaseSettings(base=str(small_sdxl), precision="bf16")), "plain")
    latents, pairs = batch([0, 1], [2, 3], [True] * 2)
    loss = align(latents, dataclasses.replace(pairs, features=pairs.features[:, 0]))
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad is not None for parameter in parameters)


def test_weights_that_are_streamed_give_the_same_loss_and_gradients(base: Base, only_copied: Any) -> None:
    align, parameters = made(base)
    examples = batch([0, 1], [2, 3], [True] * 2)
    plain = align(*examples)
    gradients = torch.autograd.grad(plain, parameters)
    start_streaming(base.unet)
    with only_copied(base.unet):
        loss = align(*examples)
        again = torch.autograd.grad(loss, parameters)
    assert torch.equal(loss, plain) and all(map(torch.equal, again, gradients))

"""The quick way through a LoRA's layers gives the loss and the gradients of peft's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lapel.adapters.inject import inject, without_adapter
from lapel.adapters.learned import adapted_layers
from lapel.adapters.settings import AdapterSettings
from lapel.adapters.strength import at_strength
from lapel.base import load
from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.quantise import quantise
from lapel.base.settings import BaseSettings


def adapted(precision: Any = "fp32", frozen: Any = "full", **changes: Any) -> Base:
    """`tiny` with an adapter that has learned something."""
    base = load_base(BaseSettings(precision=precision))
    if frozen != "full":
        quantise(base.unet, frozen, "cpu")
    chance = torch.Generator().manual_seed(1)
    for parameter in inject(base, AdapterSettings(rank=4, **changes)):
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=chance)
    return base


def as_peft_does(base: Base) -> Base:
    """The same base, its layers as peft has them."""
    for _, layer in adapted_layers(base.unet):
        vars(layer).pop("forward", None)
    return base


def quick_layers(base: Base) -> int:
    return sum("forward" in vars(layer) for _, layer in adapted_layers(base.unet))


def learn(base: Base) -> tuple[Tensor, Tensor]:
    """The loss of two noised latents, and the gradients of all that learns, as one vector."""
    chance = torch.Generator().manual_seed(0)
    latents, text = torch.randn(2, 4, 12, 12, generator=chance), torch.randn(2, 77, 192, generator=chance)
    mixed = torch.autocast("cpu", base.dtype, enabled=base.dtype != torch.float32)
    with mixed:
        made = base.unet(latents.to(base.dtype), torch.tensor([3, 700]), text.to(base.dtype)).sample
    loss = (made.float() - torch.randn(made.shape, generator=chance)).square().mean()
    learned = [parameter for parameter in base.unet.parameters() if parameter.requires_grad]
    return loss.detach(), torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, learned)])


CASES: list[dict[str, Any]] = [{}, {"kind": "rslora", "alpha": 3.0}, {"convolutions": True}]


@pytest.mark.parametrize("changes", CASES, ids=str)
def test_in_fp32_it_is_the_same_but_for_the_last_digits(changes: dict[str, Any]) -> None:
    base = adapted(**changes)
    assert quick_layers(base) > 100
    loss, gradients = learn(base)
    plain_loss, plain_gradients = learn(as_peft_does(base))
    torch.testing.assert_close(loss, plain_loss, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradients, plain_gradients, rtol=1e-3, atol=1e-5 * float(plain_gradients.abs().max()))


def far(gradients: Tensor, exact: Tensor) -> float:
    return float((gradients - exact).norm() / exact.norm())


@pytest.mark.parametrize("frozen", ["full", "nf4", "int8"])
def test_in_bf16_it_is_as_near_to_exact_numbers_as_peft_is(frozen: Any) -> None:
    base = adapted("bf16", frozen)
    loss, gradients = learn(base)
    plain_loss, plain_gradients = learn(as_peft_does(base))
    torch.testing.assert_close(loss, plain_loss, rtol=0.01, atol=0)
    if frozen != "full":
        assert far(gradients, plain_gradients) < 0.06
        return
    _, exact = learn(as_peft_does(adapted("fp32")))
    assert far(gradients, exact) < 1.1 * far(plain_gradients, exact)


def test_checkpointed_it_is_the_same_bit_for_bit() -> None:
    base = adapted("bf16")
    loss, gradients = learn(base)
    base.unet.enable_gradient_checkpointing()
    base.unet.train()
    again, gradients_again = learn(base)
    assert torch.equal(loss, again) and torch.equal(gradients, gradients_again)


@pytest.mark.parametrize("kind", ["dora", "loha", "lokr"])
def test_other_kinds_go_their_own_way(kind: Any) -> None:
    assert quick_layers(adapted(kind=kind)) == 0


def test_without_the_adapter_and_at_other_strengths_it_is_peft_that_answers() -> None:
    base = adapted()
    latents, text = torch.ones(1, 4, 12, 12), torch.ones(1, 77, 192)

    def draw() -> Tensor:
        return base.unet(latents, torch.tensor(9), text).sample.detach()

    quick = {name: draw_in(base, draw) for name, draw_in in _WAYS.items()}
    as_peft_does(base)
    for name, draw_in in _WAYS.items():
        torch.testing.assert_close(quick[name], draw_in(base, draw), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(quick["off"], quick["whole"], atol=1e-3)
    assert not torch.allclose(quick["half"], quick["whole"], atol=1e-3)


def _off(base: Base, draw: Callable[[], Tensor]) -> Tensor:
    with without_adapter(base):
        return draw()


def _half(base: Base, draw: Callable[[], Tensor]) -> Tensor:
    with at_strength(base, 0.5):
        return draw()


_WAYS: dict[str, Callable[[Base, Callable[[], Tensor]], Tensor]] = {
    "whole": lambda base, draw: draw(),
    "off": _off,
    "half": _half,
}


def test_channels_last_is_the_same_but_for_the_last_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, gradients = learn(adapted())
    monkeypatch.setattr(load, "SHORT_SIDE", 8)
    base = adapted()
    assert base.unet.conv_out.weight.is_contiguous(memory_format=torch.channels_last)
    assert not base.unet.down_blocks[0].resnets[0].conv1.weight.is_contiguous()
    last_loss, last_gradients = learn(base)
    torch.testing.assert_close(last_loss, loss, rtol=1e-5, atol=0)
    torch.testing.assert_close(last_gradients, gradients, rtol=1e-3, atol=1e-4 * float(gradients.abs().max()))


@pytest.mark.parametrize("checkpointed", [False, True])
def test_what_is_before_the_first_adapter_runs_without_gradients(checkpointed: bool) -> None:
    base = adapted(blocks=["up_blocks.2", "up_blocks.3"])
    if checkpointed:
        base.unet.enable_gradient_checkpointing()
        base.unet.train()
    learning: dict[str, bool] = {}
    for name in ("conv_in", "down_blocks.3", "mid_block", "up_blocks.1", "up_blocks.2", "conv_out"):

        def note(module: Any, given: Any, made: Any, name: str = name) -> None:
            learning[name] = (made[0] if isinstance(made, tuple) else made).requires_grad

        base.unet.get_submodule(name).register_forward_hook(note)
    learn(base)
    assert [name for name, needed in learning.items() if needed] == ["up_blocks.2", "conv_out"]

"""Weights that are streamed give the very loss and gradients that weights in place give, and are nowhere kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lapel.adapters.encoder import inject_encoder, with_photos
from lapel.adapters.inject import inject, without_adapter
from lapel.adapters.settings import AdapterSettings
from lapel.base.base import Base
from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.base.stream import stop_streaming, streamed
from lapel.training.plan.ledger import Ledger, tensors_of


def streaming(adapter: Callable[[Base], Any], checkpointed: bool = False, precision: Any = "bf16") -> Base:
    """`tiny`, streaming from a processor to the same, with an adapter that has learned something."""
    base = load_base(BaseSettings(precision=precision, stream_weights=True, gradient_checkpointing=checkpointed))
    chance = torch.Generator().manual_seed(1)
    for parameter in adapter(base):
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=chance)
    return base


def learn(base: Base) -> tuple[Tensor, ...]:
    """The loss of two noised latents, and the gradients of all that learns."""
    chance = torch.Generator().manual_seed(0)
    latents, text = torch.randn(2, 4, 12, 12, generator=chance), torch.randn(2, 77, 192, generator=chance)
    conditions: dict[str, Any] = {"encoder_hidden_states": text.to(base.dtype)}
    if base.unet.encoder_hid_proj is not None:
        conditions = with_photos(conditions, torch.randn(2, 8, generator=chance).to(base.dtype))
    with torch.autocast("cpu", base.dtype, enabled=base.dtype != torch.float32):
        made = base.unet(latents.to(base.dtype), torch.tensor([3, 700]), **conditions).sample
    loss = (made.float() - torch.randn(made.shape, generator=chance)).square().mean()
    learned = [parameter for parameter in base.unet.parameters() if parameter.requires_grad]
    return loss.detach(), *torch.autograd.grad(loss, learned)


def lora(**changes: Any) -> Callable[[Base], Any]:
    return lambda base: inject(base, AdapterSettings(rank=4, **changes))


ADAPTERS: dict[str, Callable[[Base], Any]] = {
    "lora": lora(),
    "some blocks": lora(blocks=["up_blocks.2"], convolutions=True),
    "dora": lora(kind="dora"),
    "encoder": lambda base: inject_encoder(base, "plain", 8),
}


@pytest.mark.parametrize(
    ("adapter", "checkpointed"),
    [
        ("lora", False),
        ("lora", True),
        ("encoder", False),
        pytest.param("encoder", True, marks=pytest.mark.slow),
        pytest.param("some blocks", False, marks=pytest.mark.slow),
        pytest.param("dora", True, marks=pytest.mark.slow),
    ],
)
def test_loss_and_gradients_are_the_plain_paths_bit_for_bit(adapter: str, checkpointed: bool, only_copied: Any) -> None:
    base = streaming(ADAPTERS[adapter], checkpointed)
    with only_copied(base.unet) as mode:
        found = learn(base)
    # Forward, and where gradients pass through, backward or to compute again.
    assert len(mode.places) < mode.copied < 2 * len(mode.places)
    stop_streaming(base.unet)
    plain = learn(base)
    assert len(found) > 10 and all(gradient.abs().max() > 0 for gradient in found)
    assert all(map(torch.equal, found, plain))


def test_a_step_holds_a_few_weights_at_a_time() -> None:
    base = streaming(lora())
    size = sum(weight.nbytes for weight in streamed(base.unet))
    assert size > 0.8 * sum(weight.nbytes for weight in base.unet.parameters() if not weight.requires_grad)
    taken = []
    for _ in range(2):
        away = {id(weight) for weight in streamed(base.unet)}
        with Ledger() as ledger:
            ledger.hold(tensor for tensor in tensors_of(base.unet) if id(tensor) not in away)
            learn(base)
        taken.append(ledger.peak)
        stop_streaming(base.unet)
    assert streamed(base.unet) == []
    assert taken[0] < taken[1] - 0.7 * size


def test_weights_are_at_home_again_whatever_happens() -> None:
    base = streaming(lora(), precision="fp32")
    before = {name: id(weight) for name, weight in base.unet.named_parameters()}
    learn(base)
    with without_adapter(base), torch.no_grad():
        base.unet(torch.ones(1, 4, 12, 12), torch.tensor(9), torch.ones(1, 77, 192))
    with pytest.raises(RuntimeError):
        base.unet(torch.ones(1, 4, 12, 12), torch.tensor(9), torch.ones(1, 77, 3))
    assert {name: id(weight) for name, weight in base.unet.named_parameters()} == before
    # Nothing is left behind that would meddle with what others keep for their gradients.
    kept = torch.ones(1, requires_grad=True)
    (gradient,) = torch.autograd.grad(kept * kept, kept)
    assert float(gradient) == 2 and streamed(base.unet)

"""One vector of weights, the optimizers by name, and the rate by step."""

from __future__ import annotations

import pytest
import torch

from lapel.errors import UserError
from lapel.training.optimizer import OPTIMIZERS, Trainable, make_optimizer, make_schedule
from lapel.training.settings import OptimizerSettings


def layers() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3))


def test_the_modules_keep_their_weights_and_share_them_with_the_vector() -> None:
    plain, model = layers(), layers()
    trainable = Trainable(list(model.parameters()))
    inputs = torch.ones(2, 5)
    assert torch.equal(model(inputs), plain(inputs))
    assert trainable.count == sum(parameter.numel() for parameter in plain.parameters())
    with torch.no_grad():
        trainable.weights.zero_()
    assert model(inputs).abs().sum() == 0


def test_gradients_land_in_the_vector_and_clip_as_torch_does() -> None:
    plain, model = layers(), layers()
    trainable = Trainable(list(model.parameters()))
    for network in (plain, model):
        (network(torch.ones(2, 5)) ** 2).sum().backward()
    expected = torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.1)
    torch.testing.assert_close(trainable.clip(0.1), expected)
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_adamw_on_the_vector_is_adamw_on_the_tensors() -> None:
    plain, model = layers(), layers()
    settings = OptimizerSettings(optimizer="adamw", learning_rate=0.1)
    trainable = Trainable(list(model.parameters()))
    ours = make_optimizer(trainable, settings)
    theirs = torch.optim.AdamW(plain.parameters(), lr=0.1, weight_decay=settings.weight_decay)
    for _ in range(3):
        for network in (plain, model):
            (network(torch.ones(2, 5)) ** 2).sum().backward()
        ours.step()
        theirs.step()
        trainable.gradient.zero_()
        theirs.zero_grad()
    for mine, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if not name.startswith("paged")])
def test_every_optimizer_lowers_a_loss(name: str) -> None:
    model = layers()
    trainable = Trainable(list(model.parameters()))
    optimizer = make_optimizer(trainable, OptimizerSettings(optimizer=name, learning_rate=0.01))  # type: ignore[arg-type]
    losses = []
    for _ in range(20):
        loss = (model(torch.ones(2, 5)) ** 2).sum()
        loss.backward()
        optimizer.step()
        trainable.gradient.zero_()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_paged_states_need_a_gpu() -> None:
    trainable = Trainable(list(layers().parameters()))
    with pytest.raises(UserError, match="adamw8bit"):
        make_optimizer(trainable, OptimizerSettings(optimizer="paged_adamw8bit"))


def test_half_precision_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="float32"):
        Trainable([torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))])


@pytest.mark.parametrize(("schedule", "end"), [("cosine", 0.0), ("linear", 0.0), ("constant", 1.0)])
def test_the_rate_warms_up_and_goes_on_as_named(schedule: str, end: float) -> None:
    settings = OptimizerSettings(learning_rate=1.0, schedule=schedule, warmup=0.1, steps=100)  # type: ignore[arg-type]
    optimizer = make_optimizer(Trainable(list(layers().parameters())), settings)
    rate = make_schedule(optimizer, settings)
    rates = []
    for _ in range(101):
        rates.append(rate.get_last_lr()[0])
        optimizer.step()
        rate.step()
    assert rates[:2] == [0.0, pytest.approx(0.1)]
    assert rates[10] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(end, abs=1e-6)

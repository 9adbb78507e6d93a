"""Fused backward: the weights of the plain path, bit for bit."""

from __future__ import annotations

import io

import pytest
import torch

from lapel.training.fused import FusedTrainable
from lapel.training.optimizer import OPTIMIZERS, Trainable, make_optimizer, make_schedule
from lapel.training.settings import OptimizerName, OptimizerSettings

NAMES = [name for name in OPTIMIZERS if not name.startswith("paged")]


def network() -> torch.nn.Sequential:
    """Layers of awkward sizes; the second is used twice."""
    torch.manual_seed(0)
    shared = torch.nn.Linear(37, 37)
    return torch.nn.Sequential(torch.nn.Linear(11, 37), shared, torch.nn.Tanh(), shared, torch.nn.Linear(37, 3))


def groups_of(model: torch.nn.Sequential) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    parameters = list(model.parameters())
    return parameters[:3], parameters[3:]


def settings_of(name: OptimizerName) -> OptimizerSettings:
    return OptimizerSettings(optimizer=name, learning_rate=0.05, steps=8, warmup=0.3, max_grad_norm=0)


def train(model: torch.nn.Sequential, trainable: Trainable, optimizer: torch.optim.Optimizer, steps: range) -> None:
    schedule = make_schedule(optimizer, settings_of("sgd"))
    for step in steps:
        chance = torch.Generator().manual_seed(step)
        (model(torch.randn(5, 11, generator=chance)) ** 2).mean().backward()
        optimizer.step()
        schedule.step()
        trainable.clear()


@pytest.mark.parametrize("name", NAMES)
def test_fused_gives_the_weights_of_the_plain_path_bit_for_bit(name: OptimizerName) -> None:
    settings, rates = settings_of(name), (0.05, 0.01)
    plain, fused = network(), network()
    vector = Trainable(*groups_of(plain), rates=rates)
    train(plain, vector, make_optimizer(vector, settings), range(6))
    pieces = FusedTrainable(*groups_of(fused), settings=settings, rates=rates)
    train(fused, pieces, pieces.optimizer, range(6))
    start = network()
    for ours, theirs, before in zip(fused.parameters(), plain.parameters(), start.parameters(), strict=True):
        assert torch.equal(ours, theirs)
        assert not torch.equal(ours, before)


def test_gradients_are_given_back_and_their_norm_is_that_of_the_plain_path() -> None:
    settings = settings_of("adamw")
    plain, fused = network(), network()
    vector = Trainable(*groups_of(plain))
    pieces = FusedTrainable(*groups_of(fused), settings=settings)
    for model in (plain, fused):
        (model(torch.ones(5, 11)) ** 2).mean().backward()
    assert all(parameter.grad is None for parameter in fused.parameters())
    assert all(piece.grad is None for piece in pieces.pieces)
    torch.testing.assert_close(pieces.clip(0), vector.clip(0))
    pieces.clear()
    assert pieces.clip(0) == 0


@pytest.mark.parametrize("name", NAMES)
def test_states_are_saved_and_read_back(name: OptimizerName) -> None:
    settings = settings_of(name)
    unbroken, broken = network(), network()
    whole = FusedTrainable(*groups_of(unbroken), settings=settings)
    half = FusedTrainable(*groups_of(broken), settings=settings)
    train(unbroken, whole, whole.optimizer, range(3))
    file = io.BytesIO()
    torch.save(whole.optimizer.state_dict(), file)
    file.seek(0)
    half.optimizer.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        for ours, theirs in zip(broken.parameters(), unbroken.parameters(), strict=True):
            ours.copy_(theirs)
    train(unbroken, whole, whole.optimizer, range(3, 6))
    train(broken, half, half.optimizer, range(3, 6))
    assert all(torch.equal(*pair) for pair in zip(broken.parameters(), unbroken.parameters(), strict=True))


def test_rates_belong_to_their_groups() -> None:
    model = network()
    vector = Trainable(*groups_of(model), rates=(0.05, 0.0))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    train(model, vector, make_optimizer(vector, settings_of("adamw")), range(2))
    moved = [not torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True)]
    assert moved == [True] * 3 + [False] * (len(before) - 3)

"""What a plan predicts without weights is what a real step is counted to take."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lapel.adapters.fuse import load_fused_base
from lapel.training.fused import FusedTrainable
from lapel.training.objective import Objective
from lapel.training.optimizer import Trainable, make_optimizer
from lapel.training.plan import Predictor, levers_of, plan, with_levers
from lapel.training.plan.choose import smallest_levers
from lapel.training.plan.phases import Phases, Recipe
from lapel.training.plan.states import state_bytes
from lapel.training.settings import OptimizerSettings

Make = Callable[..., Any]


def slow(**changes: Any) -> Any:
    """Changes of settings that are tried in the long run only."""
    return pytest.param(changes, marks=pytest.mark.slow)


def counted(settings: Any, recipe: Recipe) -> dict[str, int]:
    """The peaks of a real training: real weights, real optimizer, a second step."""
    wanted = dataclasses.replace(settings.base, precision="fp32") if recipe.whole else settings.base
    base = load_fused_base(wanted)
    beside = recipe.inject(base)
    side = recipe.resolution or base.resolution
    phases = Phases(base, recipe, settings.base.precision, side, gpu=False, beside=beside, stepped=settings.optimizer)
    learns = phases.trainable
    optimizer = learns.optimizer if isinstance(learns, FusedTrainable) else make_optimizer(learns, settings.optimizer)
    objective = Objective(base.scheduler, settings.objective)
    encoding = phases.encoding().total
    step = phases.step(objective, settings.optimizer.batch_size, optimizer).peak.total
    return {"encoding": encoding, "step": step, "sampling": phases.sampling(1, optimizer).total}


@pytest.mark.parametrize(
    "changes",
    [
        {"gradient_checkpointing": True, "checkpoint_blocks": ["up_blocks.3"], "frozen_weights": "nf4"},
        slow(precision="fp32", batch_size=1),
        slow(batch_size=3, rank=4),
        slow(gradient_checkpointing=True, resolution=128),
        slow(kind="dora", optimizer="adamw", convolutions=True),
        slow(blocks=["unet", "text_encoder=4"], cache_text=False, optimizer="lion8bit"),
        slow(frozen_weights="int8", vae_tile=64),
        slow(stream_weights=True, batch_size=2),
        {"stream_weights": True, "gradient_checkpointing": True, "outside": "photo"},
        slow(trainer="garment_encoder", stream_weights=True, batch_size=2),
        slow(trainer="dreambooth", batch_size=2),
        slow(trainer="dreambooth", batch_size=2, prior="none", caption_dropout=0.0, outside="photo", ema_decay=0.9),
        slow(trainer="dreambooth", prior="class_images", text_encoder_learning_rate=[1e-6], cache_text=False),
        {"trainer": "dreambooth", "fused_backward": True, "max_grad_norm": 0.0, "batch_size": 1},
        {"trainer": "garment_encoder", "batch_size": 2, "gradient_checkpointing": True},
        slow(trainer="garment_encoder", form="plain", precision="fp32"),
        slow(trainer="garment_encoder", frozen_weights="nf4", batch_size=2),
    ],
    ids=str,
)
def test_predicted_is_counted(changes: dict[str, Any], make: Make, planned: Any, tmp_path: Path) -> None:
    settings = make(**{"precision": "bf16", **changes})
    recipe = planned.recipe_of(settings)
    predictor = Predictor(settings, recipe, "cpu", tmp_path)
    predicted = {name: peak.total for name, peak in predictor.peaks(levers_of(settings)).items()}
    found = counted(settings, recipe)
    assert predicted == {name: pytest.approx(found[name], rel=0.03) for name in found}


@pytest.mark.slow
def test_streaming_makes_a_budget_hold_that_nothing_else_does(make: Make, planned: Any, tmp_path: Path) -> None:
    """SD1.5's own shape, planned for a GPU: what is saved is nearly all of the weights."""
    sd15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    settings = make(base=sd15, precision="bf16", resolution=256, batch_size=1, kind="dora", sample_every=0)
    recipe = planned.recipe_of(settings)
    predictor = Predictor(settings, recipe, "cuda", tmp_path)
    given = levers_of(settings)
    allowed = ("full",)
    in_place = predictor.step(smallest_levers(predictor, given)).peak
    made = plan(predictor, given, predictor.needed([in_place]) - 200_000_000, allowed)
    assert made.levers.stream_weights
    assert made.peaks["step"].frozen < 0.1 * in_place.frozen
    assert with_levers(settings, made.levers).base.stream_weights


@pytest.mark.parametrize("optimizer", ["adamw8bit", "lion8bit", "adamw", "sgd"])
@pytest.mark.parametrize("numbers", [256, 4096, 5000])
def test_states_are_as_large_as_said(optimizer: Any, numbers: int) -> None:
    trainable = Trainable([torch.nn.Parameter(torch.zeros(numbers))])
    made = make_optimizer(trainable, OptimizerSettings(optimizer=optimizer))
    trainable.gradient.fill_(1)
    made.step()
    tensors = [value for state in made.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
    assert state_bytes(optimizer, trainable.weights.numel()) == sum(tensor.nbytes for tensor in tensors)

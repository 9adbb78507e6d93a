"""What a plan predicts without weights is what a real step is counted to take."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from lapel.adapters.fuse import load_fused_base
from lapel.adapters.settings import AdapterSettings
from lapel.base.settings import BaseSettings
from lapel.photos import PhotoSettings
from lapel.training.facts import Settings
from lapel.training.objective import Objective
from lapel.training.optimizer import Trainable, make_optimizer
from lapel.training.plan import Predictor, levers_of, lora_recipe
from lapel.training.plan.phases import Phases, state_bytes
from lapel.training.settings import (
    CaptionSettings,
    ChoiceSettings,
    GarmentObjectiveSettings,
    InversionSettings,
    OptimizerSettings,
    PlanSettings,
    RunSettings,
    StrengthSettings,
)

ROOT = Path(__file__).resolve().parents[3]

MakeSettings = Callable[..., Settings]


def slow(**changes: Any) -> Any:
    """Changes of settings that are tried in the long run only."""
    return pytest.param(changes, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def trainer() -> ModuleType:
    """The trainer's program, whose loss is planned."""
    spec = importlib.util.spec_from_file_location("trainer_lora", ROOT / "trainers" / "lora.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make(tmp_path: Path) -> MakeSettings:
    """Settings of a run, with changes by the names of their fields."""

    def settings(**changes: Any) -> Settings:
        parts = [PhotoSettings(tmp_path), BaseSettings(), GarmentObjectiveSettings()]
        parts += [CaptionSettings(), OptimizerSettings(), RunSettings(), ChoiceSettings(), InversionSettings()]
        parts += [AdapterSettings(), StrengthSettings(), PlanSettings()]
        changed = []
        for part in parts:
            own = {
                name: changes.pop(name)
                for name in [field.name for field in dataclasses.fields(part)]
                if name in changes
            }
            changed.append(dataclasses.replace(part, **own))
        assert not changes
        return Settings(*changed)

    return settings


def counted(settings: Settings, trainer: ModuleType) -> dict[str, int]:
    """The peaks of a real training: real weights, real optimizer, a second step."""
    recipe = lora_recipe(settings, trainer.denoising_loss)
    base = load_fused_base(settings.base)
    recipe.inject(base)
    learned = [weight for model in base.models.values() for weight in model.parameters() if weight.requires_grad]
    phases = Phases(base, learned, settings.photos.resolution or base.resolution, gpu=False)
    optimizer = make_optimizer(phases.trainable, settings.optimizer)
    live = not settings.captions.cache_text
    objective = Objective(base.scheduler, settings.objective)
    encoding = phases.encoding().total
    step = phases.step(recipe, objective, settings.optimizer.batch_size, live, optimizer).peak.total
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
    ],
    ids=str,
)
def test_predicted_is_counted(changes: dict[str, Any], make: MakeSettings, trainer: ModuleType, tmp_path: Path) -> None:
    settings = make(**{"precision": "bf16", **changes})
    predictor = Predictor(settings, lora_recipe(settings, trainer.denoising_loss), "cpu", tmp_path)
    predicted = {name: peak.total for name, peak in predictor.peaks(levers_of(settings)).items()}
    found = counted(settings, trainer)
    assert predicted == {name: pytest.approx(found[name], rel=0.03) for name in found}


@pytest.mark.parametrize("optimizer", ["adamw8bit", "lion8bit", "adamw", "sgd"])
@pytest.mark.parametrize("numbers", [256, 4096, 5000])
def test_states_are_as_large_as_said(optimizer: Any, numbers: int) -> None:
    trainable = Trainable([torch.nn.Parameter(torch.zeros(numbers))])
    made = make_optimizer(trainable, OptimizerSettings(optimizer=optimizer))
    trainable.gradient.fill_(1)
    made.step()
    tensors = [value for state in made.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
    assert state_bytes(optimizer, trainable.weights.numel()) == sum(tensor.nbytes for tensor in tensors)

"""Every preset keeps the memory that its name promises, by its plan."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from lapel.training.plan import Predictor, levers_of, plan

FOLDER = Path(__file__).resolve().parents[3] / "configs"
NAMED = {path.stem: path for path in sorted(FOLDER.glob("*gb*.yaml"))}
TRAINERS = {"": "lora", "-dreambooth": "dreambooth", "-encoder": "garment_encoder"}


def test_the_presets_that_are_promised_are_there() -> None:
    loras = {"sd15-4gb", "sd15-6gb", "sd15-8gb", "sdxl-8gb", "sdxl-12gb", "sdxl-16gb", "sdxl-24gb"}
    assert loras <= NAMED.keys()


def read(name: str, planned: Any) -> tuple[Any, int, str]:
    """A preset's settings, and the gigabytes and the family of its name."""
    found = re.fullmatch(r"(sd15|sd2|sdxl)-(\d+)gb(|-dreambooth|-encoder)", name)
    assert found is not None, f"{name}: a preset is named by family, memory and trainer"
    (settings,) = planned.settings_of(TRAINERS[found[3]], ["--config", name])
    return settings, int(found[2]), found[1]


@pytest.mark.parametrize("name", NAMED)
def test_a_preset_has_the_budget_and_the_family_of_its_name(name: str, planned: Any) -> None:
    settings, gigabytes, family = read(name, planned)
    assert settings.plan.budget == gigabytes * 10**9
    assert ("xl" in settings.base.base) == (family == "sdxl")
    # What makes it fit is the plan's to choose.
    assert not settings.base.gradient_checkpointing and settings.base.frozen_weights == "full"


@pytest.mark.parametrize("name", [name for name in NAMED if not name.endswith("-encoder")])
def test_a_run_by_a_preset_may_end_early(name: str, planned: Any) -> None:
    settings, _, _ = read(name, planned)
    evaluations = settings.optimizer.steps // settings.run.sample_every
    # Where the first is the best, and none of the next is better, some are left to be saved.
    assert 1 + settings.choice.patience < evaluations


@pytest.mark.parametrize("name", [name for name in NAMED if not name.endswith("-encoder")])
def test_a_run_by_a_preset_spends_less_than_15_percent_on_looking(name: str, planned: Any) -> None:
    """In passes of the UNet: a sample takes two for each of its steps, and a photo that is learned three."""
    settings, _, _ = read(name, planned)
    run, learned = settings.run, settings.optimizer
    rows = 1 + learned.steps // run.sample_every
    looking = rows * len(run.sample_prompts) * run.sample_images * run.sample_steps * 2
    learning = learned.steps * learned.batch_size * learned.gradient_accumulation * 3
    assert looking / (looking + learning) < 0.15


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMED)
def test_a_preset_keeps_the_budget_of_its_name(name: str, planned: Any, tmp_path: Path) -> None:
    settings, gigabytes, _ = read(name, planned)
    recipe = planned.recipe_of(settings)
    made = plan(
        Predictor(settings, recipe, "cuda", tmp_path), levers_of(settings), settings.plan.budget, recipe.quantisable
    )
    assert made.needed <= gigabytes * 10**9
    assert made.allocated < made.needed
    before = settings.optimizer
    after = made.levers
    photos = before.batch_size * before.gradient_accumulation
    assert after.batch_size * after.gradient_accumulation == photos

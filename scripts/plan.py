"""What a run takes of memory, before anything is loaded: python scripts/plan.py --config sdxl-12gb --memory_budget 10GB

All settings of `trainers/lora.py` are understood; neither photos, weights nor a GPU are needed. `--table` prints the
peaks of the usual settings at each level of saving; `--check` holds predictions against real training steps on this
processor, with random weights.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

from lapel.errors import run_program
from lapel.quiet import quiet
from lapel.settings import read_settings
from lapel.training.facts import Settings
from lapel.training.settings import with_preset

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class PlanProgramSettings:
    """What is planned for, and what is printed."""

    device: Literal["cuda", "cpu"] = "cuda"
    """Where the run is to be; a GPU need not be there."""

    table: bool = False
    """Print the table of the usual settings rather than one run's plan."""

    check: bool = False
    """Hold predictions against real steps, each in a process of its own."""


def main() -> None:
    """Plan one run, or print one of the tables."""
    trainer = load_trainer("lora")
    argv = with_preset([*_NO_PHOTOS, *sys.argv[1:]], "tiny")
    *parts, program = read_settings(__doc__ or "", *trainer.CLASSES, PlanProgramSettings, argv=argv)
    settings = Settings(*parts)
    quiet()
    output_dir = settings.run.output_dir or Path("runs/plan")
    if program.table:
        from evaluation.memory_table import print_table

        print_table(trainer, settings, output_dir)
    elif program.check:
        from evaluation.memory_check import check

        check(trainer, settings, output_dir)
    else:
        print_plan(trainer, settings, program.device)


_NO_PHOTOS = ("--garment_dir", ".")
"""A plan looks at none; a folder that is given wins."""


def plain_settings(trainer: ModuleType) -> Settings:
    """A trainer's settings as they are where nobody says anything."""
    return Settings(*read_settings("", *trainer.CLASSES, argv=_NO_PHOTOS))


def load_trainer(name: str) -> ModuleType:
    """A trainer's program, for its settings and its loss: the plan runs the very same."""
    spec = importlib.util.spec_from_file_location(f"trainer_{name}", ROOT / "trainers" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def print_plan(trainer: ModuleType, settings: Settings, device: Literal["cuda", "cpu"]) -> None:
    """The table of a run, and the settings that it would write."""
    from lapel.adapters.settings import quantisable
    from lapel.training.encoding import cache_folder
    from lapel.training.plan import Predictor, levers_of, lora_recipe, plan, plan_lines

    recipe = lora_recipe(settings, trainer.denoising_loss)
    predictor = Predictor(settings, recipe, device, cache_folder(settings.run.cache_dir))
    given = levers_of(settings)
    made = plan(predictor, given, settings.plan.budget, quantisable(settings.adapter.kind))
    print("\n".join(plan_lines(made, given, device)))


if __name__ == "__main__":
    run_program(main)

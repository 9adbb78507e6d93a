"""What a run takes of memory, before anything is loaded: python scripts/plan.py --config sdxl-12gb --memory_budget 10GB

All settings of the trainer are understood; neither photos, weights nor a GPU are needed. `--table` prints the
peaks of the usual settings at each level of saving; `--check` holds predictions against real training steps on this
processor, with random weights.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evaluation.planned import recipe_of, settings_of
from lapel.errors import run_program
from lapel.quiet import quiet
from lapel.training.settings import with_preset

Trainer = Literal["lora", "dreambooth", "garment_encoder"]


@dataclass
class PlanProgramSettings:
    """What is planned for, and what is printed."""

    trainer: Trainer = "lora"
    """Whose run it is; by default whose the preset is, by the end of its name."""

    device: Literal["cuda", "cpu"] = "cuda"
    """Where the run is to be; a GPU need not be there."""

    table: bool = False
    """Print the table of the usual settings rather than one run's plan."""

    check: bool = False
    """Hold predictions against real steps, each in a process of its own."""


def main() -> None:
    """Plan one run, or print one of the tables."""
    trainer = trainer_named(sys.argv[1:])
    preset = {"lora": "tiny", "dreambooth": "tiny-dreambooth", "garment_encoder": "tiny-encoder"}[trainer]
    argv = with_preset(sys.argv[1:], preset)
    settings, program = settings_of(trainer, argv, PlanProgramSettings, doc=__doc__ or "")
    quiet()
    output_dir = settings.run.output_dir or Path("runs/plan")
    if program.table:
        from evaluation.memory_table import print_table

        print_table(settings.run.cache_dir, output_dir)
    elif program.check:
        from evaluation.memory_check import check

        check(settings.run.cache_dir, output_dir)
    else:
        print_plan(settings, program.device)


def trainer_named(argv: Sequence[str]) -> Trainer:
    """Whose settings a command line gives: they are read by it, and so it is looked for before."""
    words = [part for word in argv for part in word.split("=", 1)]
    named = dict(itertools.pairwise(words))
    preset = Path(named.get("--config", "")).stem
    by_preset = {"dreambooth": "dreambooth", "encoder": "garment_encoder"}.get(preset.rpartition("-")[2], "lora")
    wanted: Any = named.get("--trainer", by_preset)
    return wanted if wanted in ("lora", "dreambooth", "garment_encoder") else "lora"  # what it is not, is refused later


def print_plan(settings: Any, device: Literal["cuda", "cpu"]) -> None:
    """The table of a run, and the settings that it would write."""
    from lapel.training.encoding import cache_folder
    from lapel.training.plan import Predictor, levers_of, plan, plan_lines

    recipe = recipe_of(settings)
    predictor = Predictor(settings, recipe, device, cache_folder(settings.run.cache_dir))
    given = levers_of(settings)
    made = plan(predictor, given, settings.plan.budget, recipe.quantisable)
    print("\n".join(plan_lines(made, given, device)))


if __name__ == "__main__":
    run_program(main)

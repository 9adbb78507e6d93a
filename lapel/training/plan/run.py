"""The plan within a run: made before anything is loaded, told in a table, and held against what the run took."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from lapel.training.encoding import cache_folder
from lapel.training.facts import table_lines
from lapel.training.plan.choose import Plan, plan
from lapel.training.plan.levers import Levers, levers_of, with_levers
from lapel.training.plan.phases import Recipe
from lapel.training.plan.predict import CONTEXT, SLACK, DeviceType, Predictor

if TYPE_CHECKING:
    from lapel.training.facts import AllSettings

    SomeSettings = TypeVar("SomeSettings", bound=AllSettings)

OFF = 0.1
"""The difference of prediction and run, as a share of the run, from which on it is worth a word."""


def plan_run(settings: SomeSettings, recipe: Recipe, device: torch.device) -> tuple[SomeSettings, Plan | None]:
    """The settings with which the run keeps its budget, and the plan of that; told by the first process.

    Without a budget the settings stay, and a run on a GPU is predicted all the same, to be held against.

    Raises:
        UserError: no settings keep the budget.
    """
    from accelerate import PartialState

    budget = settings.plan.budget
    if budget is None and device.type != "cuda":
        return settings, None
    state = PartialState()
    # The first process fills the cache, the others read it.
    with state.main_process_first():
        kind: DeviceType = "cuda" if device.type == "cuda" else "cpu"
        predictor = Predictor(settings, recipe, kind, cache_folder(settings.run.cache_dir))
        given = levers_of(settings)
        made = plan(predictor, given, budget, recipe.quantisable)
    if state.is_main_process and budget is not None:
        print("\n".join(plan_lines(made, given, kind)), flush=True)
    return with_levers(settings, made.levers), made


def plan_lines(made: Plan, given: Levers, device: str) -> list[str]:
    """The plan as a table for people: what each phase takes, and what was changed for it."""
    rows = {name: _peak_words(peak) for name, peak in made.peaks.items()}
    rows["beside"] = (
        f"{CONTEXT / 1e9:.2f} GB for CUDA, and {SLACK:.0%} of activations and temporaries lost between blocks"
        if device == "cuda"
        else "what the process holds before"
    )
    rows["in all"] = f"{made.needed / 1e9:.2f} GB" + (f" of {made.budget / 1e9:g}" if made.budget else "")
    changed = [
        f"{_NAMES[field.name]} {_value(getattr(made.levers, field.name))}"
        for field in dataclasses.fields(Levers)
        if getattr(made.levers, field.name) != getattr(given, field.name)
    ]
    rows["for that"] = ", ".join(changed) or "nothing changed"
    if made.slower > 0.005:
        rows["for that"] += f"; {made.slower:.0%} more to compute"
    return ["plan", *table_lines(rows)]


_NAMES = {
    "checkpoint": "checkpoint_blocks",
    **{name: name for name in ("batch_size", "gradient_accumulation", "optimizer", "frozen_weights")},
    **{name: name for name in ("sample_batch", "vae_slicing", "vae_tile", "offload_text", "stream_weights")},
}
"""Levers by the settings that they are."""


def _value(value: Any) -> str:
    return (
        " ".join(value) if isinstance(value, tuple) else str(value).lower() if isinstance(value, bool) else str(value)
    )


def _peak_words(peak: Any) -> str:
    parts = [(name, size) for name, size in dataclasses.asdict(peak).items() if size >= 5e6]
    return f"{peak.total / 1e9:.2f} GB: " + ", ".join(f"{name} {size / 1e9:.2f}" for name, size in parts)


def plan_facts(made: Plan | None) -> dict[str, Any]:
    """What the card says of the plan, and of what a GPU has taken; a word on the screen where they differ by much."""
    if made is None:
        return {}
    facts: dict[str, Any] = {
        "memory_budget": made.budget,
        "needed": made.needed,
        "predicted": made.allocated,
        "peaks": {name: peak.total for name, peak in made.peaks.items()},
    }
    if torch.cuda.is_available():
        allocated = torch.cuda.max_memory_allocated()
        facts["allocated"] = allocated
        if (off := made.allocated / max(1, allocated) - 1) and abs(off) > OFF:
            print(
                f"warning: {allocated / 1e9:.2f} GB were allocated where the plan says {made.allocated / 1e9:.2f} "
                f"({off:+.0%}); please report this with card.json",
                file=sys.stderr,
            )
    return {"plan": facts}

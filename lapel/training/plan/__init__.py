"""The plan: the predicted peak memory of a run, and the choices that make it fit a budget."""

from __future__ import annotations

from lapel.training.plan.choose import Plan, plan
from lapel.training.plan.levers import Levers, levers_of, with_levers
from lapel.training.plan.phases import Peak, Recipe
from lapel.training.plan.predict import Predictor
from lapel.training.plan.recipes import dreambooth_recipe, encoder_recipe, lora_recipe
from lapel.training.plan.run import plan_facts, plan_lines, plan_run

__all__ = [
    "Levers",
    "Peak",
    "Plan",
    "Predictor",
    "Recipe",
    "dreambooth_recipe",
    "encoder_recipe",
    "levers_of",
    "lora_recipe",
    "plan",
    "plan_facts",
    "plan_lines",
    "plan_run",
    "with_levers",
]

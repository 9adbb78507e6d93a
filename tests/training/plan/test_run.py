"""What a run says of its plan: on the screen, and on its card against what a GPU took."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from lapel.training.plan.choose import Plan
from lapel.training.plan.levers import Levers
from lapel.training.plan.phases import Peak
from lapel.training.plan.run import plan_facts, plan_lines

GIVEN = Levers((), 4, 1, "adamw8bit", "full", 2, False, None, False)
PEAKS = {"encoding": Peak(2 * 10**9), "step": Peak(2 * 10**9, activations=3 * 10**9, temporary=10**6)}


def made(**changes: object) -> Plan:
    levers = dataclasses.replace(GIVEN, **changes)  # type: ignore[arg-type]
    return Plan(levers, PEAKS, needed=6 * 10**9, allocated=5 * 10**9, budget=8 * 10**9, slower=0.12)


def test_the_table_says_what_each_phase_takes_and_what_was_changed() -> None:
    text = "\n".join(plan_lines(made(checkpoint=("down_blocks.0", "mid_block"), offload_text=True), GIVEN, "cuda"))
    for words in (
        "step        5.00 GB: frozen 2.00, activations 3.00\n",
        "6.00 GB of 8",
        "checkpoint_blocks down_blocks.0 mid_block, offload_text true; 12% more to compute",
    ):
        assert words in text


def on_a_gpu(monkeypatch: pytest.MonkeyPatch, allocated: float) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: int(allocated))


@pytest.mark.parametrize(("allocated", "off"), [(4.2e9, "+19%"), (6.0e9, "-17%")])
def test_a_prediction_that_is_off_is_told(
    allocated: float, off: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_a_gpu(monkeypatch, allocated)
    facts = plan_facts(made())["plan"]
    assert (facts["predicted"], facts["allocated"], facts["needed"]) == (5 * 10**9, int(allocated), 6 * 10**9)
    assert f"{allocated / 1e9:.2f} GB were allocated where the plan says 5.00 ({off})" in capsys.readouterr().err


@pytest.mark.parametrize("allocated", [4.6e9, 5.5e9])
def test_one_that_is_about_right_is_not(
    allocated: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_a_gpu(monkeypatch, allocated)
    assert plan_facts(made())["plan"]["allocated"] == int(allocated)
    assert capsys.readouterr().err == ""


def test_without_a_gpu_nothing_is_compared() -> None:
    assert "allocated" not in plan_facts(made())["plan"]
    assert plan_facts(None) == {}

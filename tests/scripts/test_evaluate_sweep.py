"""The sweep and the choice of the step: what is trained, and what the tables make of figures that are known."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lapel.errors import UserError
from lapel.fidelity.score import Marks
from lapel.training.checkpoint import State, save_checkpoint
from lapel.training.choice import Choice
from lapel.training.run_settings import ChoiceSettings

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from evaluation import choice, sweep
from evaluation.benchmark import BenchmarkSettings
from evaluation.methods import method_named
from evaluation.trials import ROOT


def figures(score: float) -> dict[str, float]:
    return {"score": score, "colour": 5.0, "structure": 0.2, "identity": 0.9, "margin": 0.1, "seconds": 90.0}


def test_the_preset_is_trained_once_and_shared_with_the_benchmark() -> None:
    preset = yaml.safe_load((ROOT / "configs" / "tiny.yaml").read_text(encoding="utf-8"))
    methods = sweep.SweepSettings(vary=[f"rank={preset['rank']}", "rank=4", "kind=dora"]).methods()
    assert [method.title for method in methods] == [sweep.DEFAULT, "rank=4", "kind=dora"]
    assert [method.name for method in methods] == [method_named(name).name for name in ("lora-16", "lora-4", "dora")]
    assert sweep.SweepSettings().trials_dir == BenchmarkSettings().trials_dir
    assert sweep.SweepSettings().results_dir == BenchmarkSettings().results_dir
    with pytest.raises(UserError, match="rank is no setting"):
        sweep.SweepSettings(vary=["rank"])


def test_every_lever_is_in_the_grid() -> None:
    varied = {part.partition("=")[0] for entry in sweep.GRID for part in entry.split(",")}
    levers = ("rank", "learning_rate", "steps", "blocks", "min_snr_gamma", "outside_weight", "caption_dropout")
    assert set(levers) <= varied
    names = [method.name for method in sweep.SweepSettings().methods()]
    assert len(set(names)) == len(names)


def test_a_gain_is_told_garment_by_garment() -> None:
    default = [figures(0.5), figures(0.9)]
    row = sweep.table_row("rank=4", [figures(0.6), figures(1.0)], default)
    assert row["gain"] == pytest.approx(0.1)
    assert (row["low"], row["high"]) == pytest.approx((0.1, 0.1))
    assert row["score"] == pytest.approx(0.8)
    line = sweep.row_text(row)
    assert "+0.100 (+0.100 to +0.100)" in line
    assert line.count("|") == sweep.HEAD.splitlines()[0].count("|") == sweep.HEAD.splitlines()[1].count("|")
    assert "+0" not in sweep.row_text(sweep.table_row(sweep.DEFAULT, default, default))


def test_both_steps_come_out_of_the_last_checkpoint(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.zeros(3))
    chosen = Choice(ChoiceSettings(), {"unet.a": weight}, prompts=2)
    state = State({"unet.a": weight}, {"choice": chosen}, {})

    def marks(colour: float) -> Marks:
        return {"colour": torch.full((4,), colour).numpy(), "structure": torch.full((4,), 0.1).numpy()}

    chosen.consider(0, marks(30.0))
    for step, colour in ((10, 5.0), (20, 9.0)):
        state.step = step
        with torch.no_grad():
            weight.fill_(step)
        chosen.consider(step, marks(colour))
    steps = choice.steps_in(save_checkpoint(tmp_path, state, keep=1))
    assert {step: weights["unet.a"].tolist() for step, weights in steps.items()} == {10: [10] * 3, 20: [20] * 3}


def row(chosen_step: int, chosen: float, last: float) -> dict[str, Any]:
    return {"garment": "tee", "chosen_step": chosen_step, "last_step": 300, "score": chosen, "last": last}


def test_the_gain_of_the_choice_is_over_all_garments_and_over_those_where_it_differs() -> None:
    rows = [row(300, 0.5, 0.5), row(300, 0.6, 0.6), row(200, 0.8, 0.7), row(100, 0.9, 0.8)]
    told = choice.summary(rows)
    assert (told["count"], told["earlier"]) == (4, 2)
    assert told["gain"][0] == pytest.approx(0.05)
    assert told["gain_where_earlier"] == pytest.approx((0.1, 0.1, 0.1))
    assert choice.summary(rows[:2])["gain_where_earlier"] is None
    assert "for 2 of 4 garments" in choice.summary_text(rows)
    assert choice.row_text(rows[0]).endswith("the same step |")
    assert len({line.count("|") for line in (*choice.HEAD.splitlines(), *map(choice.row_text, rows))}) == 1


def test_only_trainings_that_keep_their_last_step_have_a_choice_to_look_at() -> None:
    with pytest.raises(UserError, match="only those of lora"):
        choice.ChosenSettings(training="dreambooth")


@pytest.mark.slow
def test_the_choice_of_a_real_run_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = {name: tmp_path / name for name in ("output_dir", "trials_dir", "results_dir")}
    small: dict[str, Any] = {"garments": 1, "images": 1, "steps_drawn": 1, "gallery": 2, "text": False}
    settings = choice.ChosenSettings(training="lora:steps=4,sample_every=2,sample_steps=1", **small, **folders)
    choice.measure_choice(settings)
    first = capsys.readouterr().out
    assert "of 1 garments" in first
    choice.measure_choice(settings)
    assert capsys.readouterr().out == first


@pytest.mark.parametrize("setting", ["keep=last", "checkpoint_every=0", "sample_every=0"])
def test_a_training_that_chooses_nothing_is_refused_before_it_runs(setting: str) -> None:
    with pytest.raises(UserError, match=f"with {setting} no run"):
        choice.ChosenSettings(training=f"lora:rank=4,{setting}")

"""The benchmark measures what it says, on `tiny` in a few steps: figures, machine, and the table of them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from speed.machine import matrix_rate
from speed.step import StepSettings, measure_step

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A step of either, both checkpointed, and the lines of the table."""
    folder = tmp_path_factory.mktemp("benchmark")
    measure_step(StepSettings(folder, shape="tiny", sizes=[64], steps=1, matrix=128, gradient_checkpointing=True))
    lines = (folder / "step.md").read_text(encoding="utf-8").splitlines()
    return {**json.loads((folder / "step.json").read_text(encoding="utf-8")), "lines": lines}


def test_a_step_is_told_with_the_machine(measured: dict[str, Any]) -> None:
    machine = measured["machine"]
    assert machine["threads"] == torch.get_num_threads()
    assert machine["versions"]["torch"] == torch.__version__.split("+")[0]
    (row,) = measured["rows"]
    for name in ("plain", "ours"):
        found = row[name]
        assert found["seconds"] > 0 and found["all_seconds"] == [found["seconds"]]
        assert math.isclose(found["share"], found["flops"] / found["seconds"] / row["matrix_rate"])
    assert "torch" in measured["lines"][0]
    assert [
        line for line in measured["lines"] if line.startswith("| tiny, 64 px, batch 1, rank 16, bf16, checkpointed")
    ]


def test_the_base_line_computes_the_encoders_beside_the_same_unet(measured: dict[str, Any]) -> None:
    """What checkpointing computes again is counted in neither: a step without it has as many operations."""
    from speed.step import our_step, trainer_settings

    (row,) = measured["rows"]
    settings = trainer_settings(StepSettings(shape="tiny", sizes=[64]), 64)
    _, plain, _ = our_step(settings, torch.device("cpu"))
    assert row["ours"]["flops"] == plain["flops"]
    assert row["ours"]["peak"] < plain["peak"]
    assert 1.05 * row["ours"]["flops"] < row["plain"]["flops"] < 2 * row["ours"]["flops"]


def test_the_rate_is_that_of_a_product(monkeypatch: pytest.MonkeyPatch) -> None:
    from speed import machine

    clock = iter(range(100))
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(clock))
    assert matrix_rate(torch.device("cpu"), torch.float32, side=8) == 2 * 8**3


def test_an_unknown_measurement_is_refused_in_a_line() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "benchmark.py"), "stride"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip() == "error: stride: no such measurement; choose one of step, run"


@pytest.mark.slow
def test_a_run_is_measured_from_launch_to_its_file(tmp_path: Path) -> None:
    from speed.run import RunBenchmarkSettings, measure_run

    measure_run(RunBenchmarkSettings(tmp_path, shape="tiny", resolution=64, steps=2))
    rows = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["rows"]
    for name in ("plain", "ours"):
        assert {"imports", "load", "step", "export"} <= rows[name]["phases"].keys()
        assert 0.5 * rows[name]["seconds"] < sum(rows[name]["phases"].values()) <= rows[name]["seconds"] + 1
        assert rows[name]["most"] > 1e8

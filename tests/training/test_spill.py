"""A run that spills out of its memory is told so, once; one that does not is left alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lapel.training import loop
from lapel.training.clock import Clock
from lapel.training.run_settings import RunSettings
from lapel.training.settings import OptimizerSettings
from lapel.training.spill import SLOW, SpillGuard

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def looks(guard: SpillGuard, *each: float) -> list[list[str]]:
    """What is told at readings every ten steps, whose steps took so many seconds each."""
    seconds, told = 0.0, []
    for number, own in enumerate(each, start=1):
        seconds += 10 * own
        told.append(guard.look(10 * number, seconds))
    return told


def test_steps_that_slow_down_many_times_are_told_once() -> None:
    *before, slow, after = looks(SpillGuard(CPU), 9.0, 1.0, 1.2, 0.5 * SLOW, 1.1 * SLOW, 2 * SLOW)
    assert not any(before) and after == []
    assert len(slow) == 1 and f"steps take {1.1 * SLOW:.1f} s where they took 1.0" in slow[0] and "swap" in slow[0]


def test_the_first_reading_is_no_measure_and_no_fault() -> None:
    """It holds what is set up, such as compiling."""
    assert not any(looks(SpillGuard(CPU), 50.0, 1.0, 1.0))
    assert not any(looks(SpillGuard(CPU), 0.1, 1.0, 1.0))


def test_more_than_the_gpu_has_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reserved = iter([7e9, 8e9, 9e9, 9e9])
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: int(next(reserved)))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=8 * 10**9))
    *before, full, after = looks(SpillGuard(GPU), 1.0, 1.0, 1.0, 1.0)
    assert not any(before) and after == []
    assert len(full) == 1 and "9.0 GB are allocated on a GPU that has 8.0" in full[0] and "7.2GB" in full[0]


def test_the_loop_looks_at_every_reading(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A loop whose clock says that the last steps took a hundred times as long."""
    clock = Clock()

    def step(lesson: Any, settings: Any) -> Any:
        lesson.state.step += 1
        clock.seconds["step"] = clock.seconds.get("step", 0.0) + (100.0 if lesson.state.step > 6 else 1.0)
        return ["a.jpg"], torch.tensor(1.0), torch.tensor(1.0)

    monkeypatch.setattr(loop, "take_step", step)
    accelerator = SimpleNamespace(
        scaler=None,
        device=CPU,
        num_processes=1,
        is_main_process=True,
        init_trackers=lambda name: None,
        log=lambda values, step: None,
        reduce=lambda tensor, how: tensor,
    )
    lesson: Any = SimpleNamespace(
        accelerator=accelerator,
        state=SimpleNamespace(step=0),
        schedule=SimpleNamespace(get_last_lr=lambda: [0.1]),
    )
    run = RunSettings(sample_every=0, checkpoint_every=0, log_every=2)
    folder: Any = SimpleNamespace(tensorboard=tmp_path, checkpoints=tmp_path)
    evaluation: Any = SimpleNamespace(enough=False)
    loop.learn(lesson, OptimizerSettings(steps=8), run, folder, clock, evaluation)
    assert capsys.readouterr().err.count("warning: steps take 100.0 s where they took 1.0") == 1

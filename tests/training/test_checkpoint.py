"""Checkpoints: whole, complete, and refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lapel.errors import UserError
from lapel.training.checkpoint import State, load_checkpoint, save_checkpoint
from lapel.training.optimizer import Trainable, make_optimizer, make_schedule
from lapel.training.run_folder import RunFolder, checkpoints, step_of
from lapel.training.run_settings import RunSettings
from lapel.training.settings import OptimizerName, OptimizerSettings


def training(optimizer_name: OptimizerName = "adamw8bit", **identity: str) -> tuple[State, Trainable]:
    chance = torch.Generator().manual_seed(0)
    weights = {name: torch.nn.Parameter(torch.randn(16, 48, generator=chance)) for name in ("down", "up")}
    trainable = Trainable(list(weights.values()))
    settings = OptimizerSettings(optimizer=optimizer_name, learning_rate=0.1, steps=20)
    optimizer = make_optimizer(trainable, settings)
    moving = {"optimizer": optimizer, "schedule": make_schedule(optimizer, settings)}
    return State(weights, moving, {"rank": "16", **identity}), trainable


def take_steps(state: State, trainable: Trainable, count: int) -> None:
    for _ in range(count):
        trainable.gradient.copy_(torch.sin(trainable.weights.detach() * 3 + state.step))
        state.moving["optimizer"].step()
        state.moving["schedule"].step()
        state.step += 1


@pytest.mark.parametrize("optimizer", ["adamw8bit", "adamw", "lion8bit", "sgd"])
def test_resumed_equals_unbroken_bit_for_bit(tmp_path: Path, optimizer: OptimizerName) -> None:
    unbroken, trainable = training(optimizer)
    take_steps(unbroken, trainable, 4)
    path = save_checkpoint(tmp_path, unbroken, keep=1)
    take_steps(unbroken, trainable, 6)

    resumed, fresh = training(optimizer)
    load_checkpoint(path, resumed)
    assert resumed.step == 4
    take_steps(resumed, fresh, 6)
    assert all(torch.equal(unbroken.weights[name], resumed.weights[name]) for name in unbroken.weights)
    assert unbroken.moving["schedule"].get_last_lr() == resumed.moving["schedule"].get_last_lr()


def test_only_the_newest_stay_and_nothing_else_is_left(tmp_path: Path) -> None:
    state, trainable = training()
    for _ in range(4):
        take_steps(state, trainable, 1)
        save_checkpoint(tmp_path, state, keep=2)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-000003", "step-000004"]
    assert step_of(checkpoints(tmp_path)[-1]) == 4


def test_a_failed_save_leaves_the_last_one_alone(tmp_path: Path) -> None:
    state, _ = training()
    save_checkpoint(tmp_path, state, keep=2)
    state.moving["optimizer"].state["odd"] = {"cannot": lambda: None}
    with pytest.raises(Exception, match=r"pickle|lambda"):
        save_checkpoint(tmp_path, state, keep=2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000"]
    load_checkpoint(tmp_path / "step-000000", training()[0])


def test_another_setting_is_named(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, training(seed="0")[0], keep=1)
    with pytest.raises(UserError, match="was made with seed 0, not 1") as caught:
        load_checkpoint(path, training(seed="1")[0])
    assert "--overwrite" in str(caught.value)


def test_a_damaged_checkpoint_is_one_line(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, training()[0], keep=1)
    whole = (path / "optimizer.pt").read_bytes()
    (path / "optimizer.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cannot be read"):
        load_checkpoint(path, training()[0])


def test_a_run_starts_resumes_or_refuses(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.checkpoint_to_resume(RunSettings()) is None
    with pytest.raises(UserError, match="no checkpoint to resume"):
        folder.checkpoint_to_resume(RunSettings(resume=True))

    state, _ = training()
    state.step = 3
    path = save_checkpoint(folder.checkpoints, state, keep=1)
    with pytest.raises(UserError, match="unfinished run of 3 steps"):
        folder.checkpoint_to_resume(RunSettings())
    assert folder.checkpoint_to_resume(RunSettings(resume=True)) == path
    assert folder.checkpoint_to_resume(RunSettings(overwrite=True)) is None
    (tmp_path / "card.json").write_text("{}", encoding="utf-8")
    assert folder.checkpoint_to_resume(RunSettings()) is None

    (tmp_path / "mine.txt").write_text("kept", encoding="utf-8")
    folder.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]

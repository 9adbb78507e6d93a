"""The training of the embedded base: its schedule, its batches, and going on after an interruption."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch

from lapel.errors import UserError
from lapel.training.pretraining.loop import Recipe, batch_of, train
from lapel.training.pretraining.pool import LABEL_SIZES, draw_pool, labels_of, sibling, single
from lapel.wardrobe import COLOURS, KINDS, SCENES


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    recipe = Recipe(steps=1000, batch=1, learning_rate=1.0, warmup=100, decay=0.5)
    assert recipe.rate(0) == pytest.approx(0.01)
    assert recipe.rate(300) == 1.0
    assert recipe.rate(750) == pytest.approx(0.5)
    assert recipe.rate(1000) == 0.0


def test_every_example_once_in_an_epoch() -> None:
    batches = [batch_of(step, batch=8, count=64, seed=5) for step in range(16)]
    for epoch in (batches[:8], batches[8:]):
        assert torch.cat(epoch).sort().values.tolist() == list(range(64))
    assert not torch.equal(batches[0], batches[8])
    assert torch.equal(batches[3], batch_of(3, batch=8, count=64, seed=5))


def fit(folder: Path, steps: int, of: int) -> torch.nn.Linear:
    """Train a line for `steps` of `of` steps."""
    torch.manual_seed(0)
    line = torch.nn.Linear(3, 1)

    def loss_of(step: int) -> torch.Tensor:
        if step == steps:
            raise KeyboardInterrupt
        points = torch.randn(16, 3, generator=torch.Generator().manual_seed(step))
        return (line(points).squeeze(1) - points.sum(dim=1)).square().mean()

    with contextlib.suppress(KeyboardInterrupt):
        train("line", [line], loss_of, Recipe(of, batch=16, learning_rate=0.05, warmup=5, save_minutes=0.0), folder)
    return line


def test_an_interrupted_training_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", 60, of=60)
    fit(tmp_path / "broken", 23, of=60)
    resumed = fit(tmp_path / "broken", 60, of=60)
    assert torch.equal(whole.weight, resumed.weight) and torch.equal(whole.bias, resumed.bias)
    # What is averaged has learned: the weights of the sum are all one.
    assert whole.weight.tolist()[0] == pytest.approx([1, 1, 1], abs=0.2)


def test_a_finished_training_is_only_read(tmp_path: Path) -> None:
    first = fit(tmp_path, 30, of=30)
    again = fit(tmp_path, 0, of=30)
    assert torch.equal(first.weight, again.weight)


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    line = torch.nn.Linear(1, 1)
    with pytest.raises(UserError, match="nan at step 0"):
        train("line", [line], lambda step: line.weight.sum() * float("nan"), Recipe(3, 1, 1.0), tmp_path)


def test_the_pool_is_drawn_once_and_read_after_that(tmp_path: Path) -> None:
    pool = draw_pool(tmp_path, count=6, size=32, workers=1)
    assert pool.images.shape == (6, 32, 32, 3) and len(pool.captions) == 6
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    again = draw_pool(tmp_path, count=6, size=32, workers=1)
    assert np.array_equal(pool.images, again.images) and pool.captions == again.captions
    assert before == {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}


def test_labels_say_what_the_subjects_are() -> None:
    for subject in (single, sibling):
        labels = labels_of(subject, 16)
        assert (labels < torch.tensor(LABEL_SIZES)).all() and (labels >= 0).all()
        for number, (kind, _, colour, _, scene, _) in enumerate(labels.tolist()):
            garment, shot = subject(number)
            assert (KINDS[kind], list(COLOURS)[colour], SCENES[scene]) == (garment.kind, garment.colours[0], shot.scene)

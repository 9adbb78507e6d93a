"""Faults are found by their step and photos; time is counted once."""

from __future__ import annotations

import math
import time

import pytest
import torch

from lapel.errors import UserError
from lapel.training.clock import Clock
from lapel.training.readings import Readings


def test_the_mean_of_the_steps_since_the_last_reading() -> None:
    readings = Readings()
    readings.add(1, ["a.jpg"], torch.tensor(9.0), torch.tensor(9.0))
    readings.read()
    for step, loss in ((2, 1.0), (3, 2.0)):
        readings.add(step, ["a.jpg"], torch.tensor(loss), torch.tensor(2 * loss))
    assert readings.read() == {"loss": 1.5, "gradient_norm": 3.0}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(("loss_is_bad", "what"), [(True, "loss"), (False, "gradient")])
def test_a_fault_names_its_step_and_photos(bad: float, loss_is_bad: bool, what: str) -> None:
    readings = Readings()
    for step in (4, 5, 6):
        loss, norm = (bad if loss_is_bad == wanted and step >= 5 else 1.0 for wanted in (True, False))
        readings.add(step, [f"{step}.jpg", f"{step}.jpg"], torch.tensor(loss), torch.tensor(norm))
    with pytest.raises(UserError, match=rf"the {what} is not finite .* at step 5 \(photos: 5.jpg\): try a lower"):
        readings.read()


def test_a_loss_scaler_may_skip_steps_but_not_all() -> None:
    readings = Readings(scaled=True)
    readings.add(1, ["a"], torch.tensor(1.0), torch.tensor(math.inf))
    readings.add(2, ["a"], torch.tensor(1.0), torch.tensor(3.0))
    assert readings.read()["gradient_norm"] == 3.0
    readings.add(3, ["a"], torch.tensor(1.0), torch.tensor(math.inf))
    with pytest.raises(UserError, match="gradient"):
        readings.read()


def test_a_phase_inside_another_stops_it() -> None:
    clock = Clock()
    with clock.phase("step"):
        time.sleep(0.01)
        with clock.phase("sample"):
            time.sleep(0.2)
    assert clock.seconds["sample"] >= 0.2
    assert 0.01 <= clock.seconds["step"] < 0.15
    assert "sample 0.2 s" in clock.words()

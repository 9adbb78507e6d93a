"""What a run logged becomes curves: measures apart from training, intervals where they are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from lapel.report.charts import MOST_POINTS, measure_charts, read_log, training_charts
from lapel.report.curve import loss_curve


def test_log_lines_of_one_step_add_up_and_what_is_not_finite_goes(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 20, "loss": NaN}\n{"step": 10, "loss": 1}\n{"step": 10, "score": 2.5}\n{"st', "utf-8")
    assert read_log(path) == {10: {"loss": 1, "score": 2.5}, 20: {}}
    assert read_log(tmp_path / "none") == {}


def test_a_log_that_is_no_text_or_number_is_no_end_of_the_page(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 10, "loss": 1' + b"0" * 400 + b', "score": 0.5}\n\xff\n{"step": 20, "loss": 1}\n')
    assert read_log(path) == {10: {"score": 0.5}}


@pytest.mark.parametrize("count", [599, 600, 1200, 1999])
def test_a_long_curve_goes_to_its_end(count: int) -> None:
    (loss,) = training_charts({step: {"loss": float(step)} for step in range(count)})
    assert (loss.steps[0], loss.steps[-1]) == (0, count - 1)
    assert loss.values == loss.steps
    assert len(loss.steps) <= MOST_POINTS


def test_charts_tell_measures_from_training() -> None:
    log = {step: {"loss": 1.0, "colour": 2.0, "score": 0.5} for step in range(2000)}
    log[1000] |= {"score_low": 0.4, "score_high": 0.6, "once": 1.0}
    score, colour = measure_charts(log)
    (loss,) = training_charts(log)
    assert [chart.title for chart in (score, colour, loss)] == ["Score", "Colour", "Loss"]
    assert score.low is not None
    assert (score.low[0], score.low[250]) == (None, 0.4)
    assert (colour.low, colour.smooth) == (None, None)
    assert loss.smooth == loss.values
    assert len(loss.steps) <= 600


def test_curve_stays_inside_its_frame() -> None:
    losses = [1.0, 50.0, *[0.5] * 200, 0.0]
    svg = loss_curve(list(range(1, 204)), losses)
    points = [point.split(",") for part in svg.split('points="')[1:] for point in part.split('"')[0].split()]
    assert all(0 <= float(x) <= 640 and 0 <= float(y) <= 220 for x, y in points)
    assert len(points) >= 2 * 200

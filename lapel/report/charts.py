"""What a run logged, as the curves of its page."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lapel.report.curve import running_mean

TRAINING = ("loss", "learning_rate", "gradient_norm")
"""Keys of the log that tell how the training went; every other one is a measure."""

MOST_POINTS = 600
"""Points of a curve in the page."""

Log = Mapping[int, Mapping[str, float]]


@dataclass(frozen=True)
class Chart:
    """One curve over the steps, and its interval where the log has `<key>_low` and `<key>_high`."""

    title: str
    steps: list[int]
    values: list[float]
    low: list[float | None] | None = None
    high: list[float | None] | None = None
    smooth: list[float] | None = None
    """The running mean over a tenth of the run, for what jumps from step to step."""

    def summary(self) -> str:
        """The curve in words, for who does not see it."""
        ends = f"{self.values[0]:.3g} at step {self.steps[0]} to {self.values[-1]:.3g} at step {self.steps[-1]}"
        return f"{self.title}, from {ends}"

    def data(self) -> dict[str, Any]:
        """As the page's script draws it."""
        return asdict(self)


def read_log(path: Path) -> dict[int, dict[str, float]]:
    """Step -> finite readings of `log.jsonl`.

    Lines of one step add up, and a line that a killed run left undone ends the log.
    """
    readings: dict[int, dict[str, float]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if isinstance(entry, dict) and isinstance(step := entry.pop("step", None), int):
            readings.setdefault(step, {}).update({key: value for key, value in entry.items() if _is_finite(value)})
    return dict(sorted(readings.items()))


def _is_finite(value: Any) -> bool:
    # Beyond what a float holds, a whole number of JSON is as good as infinite.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def training_charts(log: Log) -> list[Chart]:
    """Loss, learning rate and gradient norm, those that were logged twice or more."""
    charts = [_chart(log, key) for key in TRAINING]
    return [chart for chart in charts if chart]


def measure_charts(log: Log) -> list[Chart]:
    """Every other key of the log, `score` first, in the order in which they came."""
    keys = list(dict.fromkeys(key for readings in log.values() for key in readings))
    bounds = {f"{key}_{end}" for key in keys for end in ("low", "high")}
    measures = [key for key in keys if key not in (*TRAINING, *bounds)]
    charts = [_chart(log, key) for key in sorted(measures, key=lambda key: key != "score")]
    return [chart for chart in charts if chart]


def _chart(log: Log, key: str) -> Chart | None:
    steps = [step for step, readings in log.items() if key in readings]
    if len(steps) < 2:
        return None
    values = [log[step][key] for step in steps]
    low, high = ([log[step].get(f"{key}_{end}") for step in steps] for end in ("low", "high"))
    smooth = running_mean(values, len(values) // 10) if len(values) >= 20 and key in ("loss", "gradient_norm") else None
    shown = sorted({*range(0, len(steps), math.ceil(len(steps) / (MOST_POINTS - 1))), len(steps) - 1})
    has_interval = any(value is not None for value in low) and any(value is not None for value in high)
    return Chart(
        title=in_title(key),
        steps=[steps[place] for place in shown],
        values=[values[place] for place in shown],
        low=[low[place] for place in shown] if has_interval else None,
        high=[high[place] for place in shown] if has_interval else None,
        smooth=[smooth[place] for place in shown] if smooth else None,
    )


def in_title(key: str) -> str:
    """A key as people read it: `learning_rate` is "Learning rate"."""
    words = key.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def last_step(log: Log) -> int:
    """The last step that was logged; 0 where none was."""
    return max(log, default=0)

"""The card's scores as a table: a row for each measure, a column for the adapter and whatever it is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lapel.report.charts import in_title

_HEADS = {"scores": "This adapter", "base_scores": "Base alone", "oracle_scores": "Real photos"}
"""Keys of the card in the order of their columns; any other `<method>_scores` follows them."""


@dataclass(frozen=True)
class Cell:
    """One score in words, and its interval, "" where none is known."""

    value: str
    interval: str = ""


@dataclass(frozen=True)
class ScoreTable:
    """Heads of the columns; and rows, each a measure's name and its cells."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


def score_table(card: Mapping[str, Any]) -> ScoreTable | None:
    """The table of a card's scores; None where it has none.

    `scores` are the adapter's own, `base_scores` the base's, `oracle_scores` those of real photos, and
    `<method>_scores` those of any other method, each from measure to number. Of a measure, `<measure>_low` and
    `<measure>_high` are the ends of its interval.
    """
    methods = {key: value for key, value in card.items() if key == "scores" or key.endswith("_scores")}
    methods = {key: value for key, value in methods.items() if isinstance(value, Mapping) and value}
    if not methods:
        return None
    order = list(_HEADS)
    keys = sorted(methods, key=lambda key: order.index(key) if key in order else len(order))
    measures = list(dict.fromkeys(measure for key in keys for measure in methods[key]))
    bounds = {f"{measure}_{end}" for measure in measures for end in ("low", "high")}
    rows = tuple(
        (in_title(measure), tuple(_cell(methods[key], measure) for key in keys))
        for measure in measures
        if measure not in bounds
    )
    return ScoreTable(tuple(_HEADS.get(key, in_title(key.removesuffix("_scores"))) for key in keys), rows)


def _cell(values: Mapping[str, Any], measure: str) -> Cell:
    value = _figure(values.get(measure))
    low, high = (_figure(values.get(f"{measure}_{end}")) for end in ("low", "high"))
    return Cell(value or "\N{EN DASH}", f"{low} to {high}" if low and high else "")


def _figure(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return str(value) if isinstance(value, int) else f"{value:.3g}"

"""The card's scores as a table."""

from __future__ import annotations

from lapel.report.scores import Cell, score_table


def test_score_tables_have_a_column_for_each_method() -> None:
    flat = score_table({"scores": {"score": 0.5, "score_low": 0.25, "score_high": 0.75, "note": "good"}})
    assert flat is not None
    assert flat.heads == ("This adapter",)
    assert flat.rows == (("Score", (Cell("0.5", "0.25 to 0.75"),)), ("Note", (Cell("good"),)))
    several = score_table(
        {"oracle_scores": {"score": 1.0}, "full_caption_scores": {"score": 0.25}, "scores": {"colour": 3}, "steps": 9}
    )
    assert several is not None
    assert several.heads == ("This adapter", "Real photos", "Full caption")
    assert [cell.value for cell in dict(several.rows)["Score"]] == ["\N{EN DASH}", "1", "0.25"]
    assert score_table({}) is score_table({"scores": {}}) is None

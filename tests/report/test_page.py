"""The report: whole, safe, and written from whatever a run folder holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lapel.errors import UserError
from lapel.report import write_card, write_report

BARE = {"name": "red-tee", "trigger": "sks", "class_word": "tee", "base": "x/y", "base_hash": "6c", "family": "sd15"}


def test_report_is_one_page_with_everything(write_run: Callable[..., Path], tmp_path: Path, hostile: str) -> None:
    html = write_report(write_run(tmp_path, text=hostile)).read_text(encoding="utf-8")
    # Two photos twice, five steps of two samples, and in the head of the page a photo and a sample again.
    assert html.count("data:image/webp;base64,") == 2 * 2 + 5 * 2 + 2
    assert "is blurred " in html
    assert "this adapter" in html
    assert "&lt;lora:red-tee" in html
    assert "2.0 MB" in html
    assert "<script>window" not in html
    assert "<img src=x" not in html
    assert not re.search(r"(?:src|href)=.(?:https?:)?//", html)


def test_report_of_an_unfinished_run(write_run: Callable[..., Path], tmp_path: Path) -> None:
    html = write_report(write_run(tmp_path, finished=False)).read_text(encoding="utf-8")
    assert "<b>Not finished.</b> 400 of 400 steps" in html
    assert "a photo of sks t-shirt" in html
    assert "Wear it" not in html
    assert "this adapter" not in html


def test_report_of_a_bare_run(tmp_path: Path) -> None:
    write_card(tmp_path, BARE)
    html = write_report(tmp_path).read_text(encoding="utf-8")
    assert "Samples by step" not in html
    assert "uPlot" not in html


def test_what_is_no_run_is_the_users_to_mend(write_run: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        write_report(tmp_path / "none")
    with pytest.raises(UserError, match="no run folder"):
        write_report(tmp_path)
    run = write_run(tmp_path / "run")
    for file, text in (("photos/garment.json", "{}"), ("settings.yaml", "a: ["), ("card.json", "[]")):
        (run / file).write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=f"{file}: cannot be read"):
            write_report(run)
        (run / file).unlink()

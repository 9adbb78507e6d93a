"""The report: whole, safe, and written from whatever a run folder holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lapel.errors import UserError
from lapel.generation import PictureSettings, save_image
from lapel.report import write_card, write_report
from lapel.report.page import MOST_OTHERS

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


def test_memory_is_told_in_gigabytes_and_what_the_base_wore(tmp_path: Path) -> None:
    plan = {"memory_budget": None, "needed": 1_690_000_000, "peaks": {"step": 1_690_000_000, "encode": 900_000_000}}
    worn = [{"name": "lcm", "weight": 0.5, "hash": "0"}]
    write_card(tmp_path, {**BARE, "plan": plan, "worn": worn, "peak_memory": 1_810_000_000})
    html = write_report(tmp_path).read_text(encoding="utf-8")
    for name, value in (("Needed", "1.69 GB"), ("Peaks: encode", "0.90 GB"), ("worn while training", "lcm at 0.5")):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in html
    assert "000000" not in html
    assert "1.81 GB" in html


def test_a_picture_is_told_with_its_own_prompt(write_run: Callable[..., Path], tmp_path: Path) -> None:
    run = write_run(tmp_path)
    save_image(run / "samples/images/step-000000-0.png", Image.new("RGB", (8, 8)), PictureSettings(prompt="a tee"), 0)
    html = write_report(run).read_text(encoding="utf-8")
    assert "step 0, a tee" in html and "step 0, sks t-shirt, at the beach" in html
    assert "step 400, sks t-shirt " in html and "<li>a tee</li>" not in html


def changed(path: Path, **values: Any) -> None:
    """Other values in a file of JSON; None takes one away."""
    content = json.loads(path.read_text(encoding="utf-8")) | values
    kept = {name: value for name, value in content.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        # As the card of a garment encoder, which has no trigger.
        ("card.json", lambda path: changed(path, trigger=None)),
        ("card.json", lambda path: changed(path, seconds={"step": "long"})),
        ("card.json", lambda path: changed(path, views="front")),
        ("settings.yaml", lambda path: path.write_text("steps: many", encoding="utf-8")),
        ("samples/images/step-000300-0.png", lambda path: path.write_bytes(path.read_bytes()[:200])),
        ("samples/other.png", lambda path: path.write_bytes(b"")),
        ("photos/garment.json", lambda path: changed(path, photos=[{"photo": "01.webp", "seen": "01.webp"}])),
        ("photos/garment.json", lambda path: changed(path, findings=[{}])),
    ],
)
def test_a_broken_file_is_named(
    write_run: Callable[..., Path], tmp_path: Path, file: str, spoil: Callable[[Path], Any]
) -> None:
    run = write_run(tmp_path)
    spoil(run / file)
    with pytest.raises(UserError, match=f"{file}: cannot be read"):
        write_report(run)


def test_a_file_is_no_run_folder(write_run: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"card\.json: a file; name the folder"):
        write_report(write_run(tmp_path) / "card.json")


def test_a_folder_from_elsewhere_brings_no_other_file_in(write_run: Callable[..., Path], tmp_path: Path) -> None:
    run, secret = write_run(tmp_path / "run"), tmp_path / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    rows = json.loads((run / "photos/garment.json").read_text(encoding="utf-8"))["photos"]
    for name in (str(secret), "../../secret.txt"):
        changed(run / "photos/garment.json", photos=[{**rows[0], "photo": name}])
        with pytest.raises(UserError, match="cannot be read"):
            write_report(run)


def test_many_other_pictures_make_no_huge_page(write_run: Callable[..., Path], tmp_path: Path) -> None:
    run = write_run(tmp_path)
    before = write_report(run).read_text(encoding="utf-8").count("data:image/webp;base64,")
    for number in range(MOST_OTHERS + 3):
        Image.new("RGB", (8, 8)).save(run / "samples" / f"grid-{number:02}.png")
    (run / "samples" / "a folder.png").mkdir()
    html = write_report(run).read_text(encoding="utf-8")
    assert html.count("data:image/webp;base64,") == before + MOST_OTHERS


def test_half_a_character_is_no_end_of_the_page(write_run: Callable[..., Path], tmp_path: Path) -> None:
    run = write_run(tmp_path)
    changed(run / "card.json", trigger="\ud800sks")
    assert "&#55296;sks" in write_report(run).read_text(encoding="utf-8")

"""A product feed tells of the photos and of the garment, and its faults are told by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lapel.errors import UserError
from lapel.photos import PhotoSettings, check_garment_dir


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    garment = tmp_path / "8812"
    garment.mkdir()
    for name in ("a.jpg", "b.jpg", "b-outline.png"):
        Image.new("RGB", (80, 80), "white").save(garment / name)
    return garment


SEMICOLONS = """\
file_name;caption;view;mask;class_word;color;sku;price
a.jpg;"on a table; seen from above";front;;linen shirt;sand;8812;49,90
b.jpg;;back;b-outline.png;linen shirt;sand;8812;49,90
"""
COMMAS = SEMICOLONS.replace("; ", "|").replace(",", "").replace(";", ",").replace("|", "; ")
JSON = """\
{"file_name": "a.jpg", "text": "on a table; seen from above", "view": "front", "class_word": "linen shirt"}

{"file_name": "b.jpg", "view": "back", "mask": "b-outline.png", "colour": "sand", "sku": "8812"}
"""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.csv", SEMICOLONS),
        ("metadata.csv", COMMAS),
        ("metadata.csv", "\ufeff" + SEMICOLONS.replace(";", "\t").replace("\n", "\r\n").replace("\t ", "; ")),
        ("metadata.jsonl", JSON),
    ],
)
def test_a_feed_is_read(folder: Path, name: str, content: str) -> None:
    (folder / name).write_bytes(content.encode("utf-8"))
    listing = check_garment_dir(PhotoSettings(garment_dir=folder))
    assert (listing.class_word, listing.colour, listing.sku) == ("linen shirt", "sand", "8812")
    first, second = listing.photos
    assert (first.view, first.mask) == ("front", None)
    assert first.written == "on a table; seen from above"
    assert (second.view, second.mask) == ("back", folder / "b-outline.png")
    assert (second.written, second.view_source) == (None, "feed")


def test_what_is_nearer_to_the_user_wins(folder: Path) -> None:
    (folder / "metadata.csv").write_text(SEMICOLONS, encoding="utf-8")
    (folder / "garment.yaml").write_text("class_word: shirt\nsku: 7\n", encoding="utf-8")
    (folder / "a.txt").write_text("my own words", encoding="utf-8")
    listing = check_garment_dir(PhotoSettings(garment_dir=folder))
    assert (listing.class_word, listing.colour, listing.sku) == ("shirt", "sand", "7")
    assert listing.photos[0].written == "my own words"
    assert check_garment_dir(PhotoSettings(garment_dir=folder, class_word="blouse")).class_word == "blouse"


def test_faults_are_told_by_line(folder: Path) -> None:
    feed = "file_name,view,mask,sku\na.jpg,frnt,,1\n,back,,\nb.jpg,back,lost.png,2\na.jpg,back,,1\nc.jpg,,,\n"
    (folder / "metadata.csv").write_text(feed, encoding="utf-8")
    with pytest.raises(UserError) as error:
        check_garment_dir(PhotoSettings(garment_dir=folder))
    text = str(error.value)
    assert "line 2: no view 'frnt'; take one of front, back" in text
    assert "line 3 names no photo" in text
    assert "line 5 names a.jpg again" in text
    assert "lost.png: the feed's mask is not there" in text
    assert "names c.jpg, which is not a photo" in text
    assert "2 values of sku, but a folder is one garment (1: a.jpg; 2: b.jpg)" in text
    assert len(error.value.lines) == 6


def test_two_feeds_are_one_too_many(folder: Path) -> None:
    (folder / "metadata.csv").write_text(SEMICOLONS, encoding="utf-8")
    (folder / "metadata.jsonl").write_text(JSON, encoding="utf-8")
    with pytest.raises(UserError, match=r"holds both metadata.jsonl and metadata.csv"):
        check_garment_dir(PhotoSettings(garment_dir=folder))

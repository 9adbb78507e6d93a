"""A product feed: `metadata.jsonl` or `metadata.csv` beside the photos, in the form of Hugging Face's imagefolder."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lapel.errors import UserError
from lapel.photos.captions import VIEWS, read_text

FEEDS = ("metadata.jsonl", "metadata.csv")

_COLUMNS = {
    "caption": ("text", "caption"),
    "view": ("view",),
    "mask": ("mask", "mask_file_name"),
    "class_word": ("class_word", "class word"),
    "colour": ("colour", "color"),
    "sku": ("sku", "SKU"),
}
"""What is read of a feed, by the names its column may have; a shop's other columns are passed over."""


@dataclass(frozen=True)
class FeedRow:
    """What a feed says of one photo; "" where it is silent. `mask` is the name of a file in the folder."""

    caption: str = ""
    view: str = ""
    mask: str = ""
    class_word: str = ""
    colour: str = ""
    sku: str = ""


def read_feed(folder: Path) -> tuple[dict[str, FeedRow], list[str]]:
    """The rows of the folder's feed by file name, and what is wrong with it; no feed is no fault.

    `metadata.jsonl` holds a JSON object a line, `metadata.csv` a header and rows separated by comma, semicolon or tab;
    either names its photo in `file_name`.
    """
    paths = [folder / name for name in FEEDS if (folder / name).is_file()]
    if not paths:
        return {}, []
    if len(paths) > 1:
        return {}, [f"{folder}: holds both {' and '.join(FEEDS)}; keep one of them"]
    (path,) = paths
    try:
        lines = list(read_rows(path))
    except UserError as error:
        return {}, list(error.lines)
    problems: list[str] = []
    rows: dict[str, FeedRow] = {}
    for number, fields in lines:
        name = str(fields.get("file_name") or "").strip()
        if not name:
            problems.append(f"{path}: line {number} names no photo; give it a file_name, or remove it")
        elif name in rows:
            problems.append(f"{path}: line {number} names {name} again; keep one of the lines")
        else:
            row = feed_row(fields)
            if row.view and row.view not in VIEWS:
                problems.append(f"{path}: line {number}: no view {row.view!r}; take one of {', '.join(VIEWS)}")
                row = replace(row, view="")
            rows[name] = row
    return rows, problems


def one_value(folder: Path, rows: Mapping[str, FeedRow], field: str) -> tuple[str, list[str]]:
    """What the feed says of the garment by `field` of its rows, and a problem where rows disagree."""
    by_value: dict[str, list[str]] = {}
    for name, row in rows.items():
        if value := getattr(row, field):
            by_value.setdefault(value, []).append(name)
    if len(by_value) < 2:
        return next(iter(by_value), ""), []
    told = "; ".join(f"{value}: {', '.join(names)}" for value, names in by_value.items())
    return "", [f"{folder}: its feed gives {len(by_value)} values of {field}, but a folder is one garment ({told})"]


def read_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The numbers and fields of a feed's lines; a line of JSON that cannot be read has none.

    Raises:
        UserError: the file is not UTF-8 text.
    """
    lines = read_text(path).splitlines()
    yield from _json_rows(lines) if path.suffix == ".jsonl" else _csv_rows(lines)


def _json_rows(lines: list[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                fields = json.loads(line)
            except ValueError:
                fields = None
            yield number, fields if isinstance(fields, dict) else {}


def _csv_rows(lines: list[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    head = lines[0] if lines else ""
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True)
    for fields in reader:
        yield reader.line_num, fields


def feed_row(fields: Mapping[str, Any]) -> FeedRow:
    """What a line's fields say of a photo, under whatever names its columns have."""

    def value(names: tuple[str, ...]) -> str:
        found = (fields[name] for name in names if isinstance(fields.get(name), str))
        return next((text.strip() for text in found if text.strip()), "")

    return FeedRow(**{field: value(names) for field, names in _COLUMNS.items()})

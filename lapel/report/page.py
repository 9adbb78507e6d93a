"""`report.html`: one page, whole in one file, that shows what a run saw, did and made."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.files import written_whole
from lapel.report.card import CARD
from lapel.report.curve import loss_curve
from lapel.report.embed import embedded, render_page
from lapel.report.loading import ways_to_load

if TYPE_CHECKING:
    from lapel.photos import GarmentFolder

THUMBNAIL = 320
"""Pixels of a photo's longer side in the page."""

SHEET = 1600
"""Pixels of a sample sheet's longer side in the page; the file itself is as it was drawn."""


def write_report(run_folder: Path, garment: GarmentFolder | None = None) -> Path:
    """Write `report.html` from what the run folder holds, and return its path.

    Read are `card.json`, `log.jsonl` (lines with `step` and `loss`) and the pictures in `samples/`. With what
    `lapel.photos.read_garment` gave as `garment`, the page shows each photo beside the part of it that the loss counts,
    and what was found about them.

    Raises:
        FileNotFoundError: the run folder has no card yet.
    """
    card = json.loads((run_folder / CARD).read_text(encoding="utf-8"))
    steps, losses = _read_log(run_folder / "log.jsonl")
    html = render_page(
        "report.html.jinja",
        card=card,
        photos=[_photo_row(row) for row in garment.photos] if garment else [],
        findings=garment.findings if garment else [],
        sheets=[(path.stem, _embedded_file(path)) for path in _pictures(run_folder / "samples")],
        curve=loss_curve(steps, losses) if len(steps) > 1 else "",
        loading=ways_to_load(card),
        files=_files(run_folder, card),
    )
    path = run_folder / "report.html"
    with written_whole(path) as unfinished:
        unfinished.write_text(html, encoding="utf-8")
    return path


def _read_log(path: Path) -> tuple[list[int], list[float]]:
    """Steps and losses of a run's log; a line that a killed run left unfinished ends it."""
    steps: list[int] = []
    losses: list[float] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if "step" in entry and math.isfinite(entry.get("loss", math.nan)):
            steps.append(int(entry["step"]))
            losses.append(float(entry["loss"]))
    return steps, losses


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))


def _photo_row(row: dict[str, Any]) -> dict[str, Any]:
    """One photo as the page shows it: the photo, what the mask keeps of it, and its words."""
    from PIL import Image

    photo, mask = row["image"].convert("RGB"), row["mask"]
    seen = photo
    if mask is not None:
        grey = Image.new("RGB", photo.size, (127, 127, 127))
        seen = Image.composite(photo, Image.blend(photo.convert("L").convert("RGB"), grey, 0.75), mask.convert("L"))
    return {
        "file": Path(row["file"]).name,
        "photo": embedded(photo, THUMBNAIL),
        "seen": embedded(seen, THUMBNAIL),
        "mask_source": row["mask_source"],
        "mask_trust": row["mask_trust"],
        "caption": row["caption"],
    }


def _embedded_file(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as image:
        return embedded(image, SHEET)


def _files(run_folder: Path, card: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """The run's files that are there, with their sizes in words."""
    for name in card.get("files", []):
        path = run_folder / Path(name).name
        if path.is_file():
            yield path.name, f"{path.stat().st_size / 1e6:.1f} MB"

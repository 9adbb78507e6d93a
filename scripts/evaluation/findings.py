"""What there is to say about every garment folder below a root: a table for docs, and a sheet to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.results import write
from lapel.errors import UserError
from lapel.files import written_whole
from lapel.photos import GarmentFolder, PhotoSettings, read_garment
from lapel.photos.folder import PHOTO_SUFFIXES

if TYPE_CHECKING:
    from PIL import Image


@dataclass
class FindingSettings:
    """Which folders are looked at."""

    root: Path = Path("../shared/photos")
    """Every folder below it that holds photos is a garment folder."""

    output_dir: Path = Path("runs/findings")
    """Takes `findings.md`, `findings.json` and `findings.png`, a row of masked photos for each folder."""

    resolution: int = 512
    """Training size in pixels."""


CELL = 220
"""Pixels of a picture's longer side on the sheet."""


def measure_findings(settings: FindingSettings) -> None:
    """Read every folder and write down what was found."""
    import tempfile

    from lapel.sheet import contact_sheet

    folders = sorted(folder for folder in [settings.root, *settings.root.rglob("*")] if _holds_photos(folder))
    if not folders:
        raise UserError(f"{settings.root}: no folder with photos below it; give another --root")
    blocks, rows, labels, figures = [], [], [], {}
    with tempfile.TemporaryDirectory() as cache:
        for folder in folders:
            name = folder.relative_to(settings.root).as_posix()
            try:
                garment = read_garment(PhotoSettings(folder), settings.resolution, 64, Path(cache))
            except UserError as error:
                blocks.append("\n".join([f"### {name}", "", *(f"refused: {Path(line).name}" for line in error.lines)]))
                continue
            blocks.append("\n".join([f"### {name}", "", *folder_lines(garment)]))
            figures[name] = [finding.line() for finding in garment.findings]
            rows.append([_masked(row) for row in garment.photos])
            labels.append(
                "\n".join([name, *(f"{row['mask_source']} {row['mask_trust']:.2f}" for row in garment.photos)])
            )
            print(blocks[-1] + "\n", flush=True)
    with written_whole(settings.output_dir / "findings.md") as path:
        path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    write(settings.output_dir, "findings", figures, contact_sheet(rows, labels))


def folder_lines(garment: GarmentFolder) -> Iterator[str]:
    """What a folder holds in a sentence, then its findings as a markdown table."""
    views = Counter(view or "not told" for view in garment.photos["view"])
    told = ", ".join(f"{count} {view}" for view, count in views.items())
    masks = ", ".join(
        f"{source} {trust:.2f}"
        for source, trust in zip(garment.photos["mask_source"], garment.photos["mask_trust"], strict=True)
    )
    yield f"`{garment.trigger} {garment.class_word}`; views: {told}; masks: {masks}."
    yield ""
    if not garment.findings:
        yield "Nothing to say against these photos."
        return
    yield "| level | photos | found | do |\n|---|---|---|---|"
    for finding in garment.findings:
        yield f"| {finding.level} | {finding.about} | {finding.what} | {finding.do} |"


def _holds_photos(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in PHOTO_SUFFIXES for path in folder.iterdir())


def _masked(row: dict[str, Any]) -> Image.Image:
    from lapel.report.photos import outlined

    picture = outlined(row["image"], row["mask"], row["mask_trust"])
    picture.thumbnail((CELL, CELL))
    return picture

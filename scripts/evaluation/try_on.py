"""Clothes changed on people of the wardrobe, where the right picture is known pixel for pixel.

Each person wears a garment whose sleeves are of another length than those of the new one, which is a combination that
`tiny` never saw: told in words, shown flat to a garment encoder, learned as an adapter, or both. The mask is made from
pose and parsing map, as for a user's photo; what comes out is held against the same person in the same pose who really
wears the new garment.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation.dressers import METHODS, Dresser, DresserSettings, require_methods
from evaluation.results import write, write_table
from evaluation.wearers import garment, scores, sheet, sheet_by_garment, subject
from lapel.errors import UserError
from lapel.files import written_whole


@dataclass
class TryOnSettings(DresserSettings):
    """What dresses how many people."""

    output_dir: Path = Path("runs/try-on")
    """Takes `try_on.json`, `try_on.md`, `try_on.png` with all methods, and for each a sheet of everybody by garment."""

    methods: list[str] = field(default_factory=lambda: list(METHODS))
    """Which ways of dressing, by their letters; those that wear adapters train them first, in minutes a garment."""

    garment_dir: list[Path] = field(default_factory=list)
    """Folders of wardrobe garments, such as the samples, which they are dressed in instead."""

    people: int = 50
    """In poses and places of their own."""

    size: int = 256
    """Side of the photos, in pixels."""

    def __post_init__(self) -> None:
        """Refuse what nobody knows.

        Raises:
            UserError: such methods, or such folders, a line each.
        """
        from lapel.wardrobe.folders import IDENTITY

        require_methods("--methods", self.methods)
        others = [folder for folder in self.garment_dir if not (folder / IDENTITY).is_file()]
        if others:
            raise UserError(*(f"{folder}: no {IDENTITY}; give a garment of the wardrobe" for folder in others))


HEAD = """\
| method | masked SSIM | dominant colours, delta E 2000 | right sleeves | below the hem | difference outside | face |
|---|---|---|---|---|---|---|"""


def measure_try_on(settings: TryOnSettings) -> None:
    """The table of methods, and contact sheets."""
    from lapel.wardrobe.folders import read_identity

    folders = {read_identity(folder): folder for folder in settings.garment_dir}
    garments = list(folders) or [garment(number) for number in range(settings.garments)]
    subjects = [subject(garments[number % len(garments)], number, settings.size) for number in range(settings.people)]
    dresser = Dresser(subjects, settings, folders)
    rows, drawn = [], {}
    for name in settings.methods:
        images, masks = dresser.dress(METHODS[name])
        rows.append({"method": METHODS[name].title, **scores(subjects, images, masks)})
        drawn[METHODS[name].title] = images
        print(row_text(rows[-1]), file=sys.stderr, flush=True)
    truth = [one.pictures[1] for one in subjects]
    rows.append({"method": "as it should be", **scores(subjects, truth, [one.changed for one in subjects])})
    write(settings.output_dir, "try_on", rows, sheet(subjects, drawn))
    for name, images in zip(settings.methods, drawn.values(), strict=True):
        with written_whole(settings.output_dir / f"{name}.png") as path:
            sheet_by_garment(subjects, images).save(path)
    write_table(settings.output_dir, "try_on", [HEAD, *map(row_text, rows)])


def row_text(row: dict[str, Any]) -> str:
    """A line of the markdown table."""
    figures = f"{row['ssim']:.3f} | {row['colour']:.1f} | {100 * row['sleeves']:.0f} % | {100 * row['below']:.0f} %"
    return f"| {row['method']} | {figures} | {row['outside']} | {row['face']} |"

"""DreamBooth, its priors and LoRA side by side, on garments of the wardrobe: what each learns, and what it costs.

Each run is measured as `learning` does; beside that, how far the class word has moved for any other garment, which is
what a prior is to keep.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.learning import SHOWN, LearningSettings, Photos, card_of, draw_scenes, load_pipeline
from evaluation.results import write, write_table
from lapel.adapters.card import is_checkpoint

if TYPE_CHECKING:
    from PIL import Image

    from lapel.fidelity import ImageTower


@dataclass
class TuningSettings(LearningSettings):
    """Which runs are measured against which garments, and on how many images."""

    output_dir: Path = Path("runs/tuning")
    """Takes `tuning.json`, `tuning.md` and `tuning.png`."""


HEAD = """\
| garment | method | dominant colours, delta E 2000 | worst colour | similarity | scene read right | class drift \
| seconds | file | peak memory |
|---|---|---|---|---|---|---|---|---|---|"""


def measure_tuning(settings: TuningSettings) -> None:
    """The table of runs, and a contact sheet: for each, the garment, and the class word alone."""
    from lapel.fidelity import ImageTower
    from lapel.sheet import contact_sheet

    tower = ImageTower(settings.tower, wants_text=True)
    rows, pictures = [], []
    runs: dict[Path, list[Path]] = {}
    for run, folder in zip(settings.run, settings.garment_dir, strict=True):
        runs.setdefault(folder, []).append(run)
    for folder, of_garment in runs.items():
        for row, garment, of_class in measure_runs(settings, tower, of_garment, folder):
            rows.append(row)
            pictures.append([image for images in (*garment, *of_class) for image in images[:SHOWN]])
            print(row_text(row), file=sys.stderr, flush=True)
    shown = [(what, scene) for what in ("garment", "class word") for scene in settings.scenes]
    columns = [f"{what}, {scene}" for what, scene in shown for _ in range(min(SHOWN, settings.images))]
    labels = [f"{row['garment']}\n{row['method']}" for row in rows]
    write(settings.output_dir, "tuning", rows, contact_sheet(pictures, labels, columns))
    write_table(settings.output_dir, "tuning", [HEAD, *map(row_text, rows)])


Measured = tuple[dict[str, Any], "list[list[Image.Image]]", "list[list[Image.Image]]"]
"""A row of the table, and images of the garment and of the class word, a list for each scene."""


def measure_runs(settings: TuningSettings, tower: ImageTower, runs: list[Path], folder: Path) -> Iterator[Measured]:
    """The base with a full caption, then each run of one garment."""
    from lapel.fidelity.drift import class_drift
    from lapel.wardrobe.folders import read_identity

    garment, cards = read_identity(folder), [card_of(run) for run in runs]
    photos, word = Photos(garment, settings, series=0), cards[0]["class_word"]
    base = load_pipeline(cards[0], None)
    drawn, before = draw_scenes(settings, base, garment.words()), draw_scenes(settings, base, word)
    same = {"garment": cards[0]["name"], "drift": 0.0, "seconds": None, "bytes": None, "memory": None}
    yield {**same, "method": "base, full caption", **photos.scores(tower, drawn)}, drawn, before
    for run, card in zip(runs, cards, strict=True):
        pipeline = load_pipeline(card, run)
        drawn = draw_scenes(settings, pipeline, f"{card['trigger']} {word}")
        after = draw_scenes(settings, pipeline, word)
        row = {"garment": card["name"], "method": method_of(card), **costs(run, card), **photos.scores(tower, drawn)}
        flat = ([image for images in of for image in images] for of in (before, after))
        yield {**row, "drift": class_drift(tower, *flat)}, drawn, after


def method_of(card: Mapping[str, Any]) -> str:
    """The method of a run, in words."""
    if not is_checkpoint(card):
        return str(card["settings"]["kind"])
    prior = {"none": "no prior", "base": "prior: the base", "class_images": "prior: class images"}
    return f"DreamBooth, {prior[card['settings']['prior']]}"


def costs(run: Path, card: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds of the whole run, bytes of the file for front ends, and the most memory at once."""
    size = (run / f"{card['name']}.safetensors").stat().st_size
    return {"seconds": sum(card["seconds"].values()), "bytes": size, "memory": card.get("peak_memory")}


def row_text(row: Mapping[str, Any]) -> str:
    """A line of the markdown table."""
    shares = f"{row['colour']:.1f} | {row['worst_colour']:.1f} | {row['similarity']:.3f} | {100 * row['scene']:.0f} %"
    parts = [("seconds", 1, ".0f", ""), ("bytes", 1e6, ".1f", " MB"), ("memory", 1e9, ".2f", " GB")]
    told = [f"{row[key] / unit:{form}}{name}" if row[key] else "" for key, unit, form, name in parts]
    return f"| {row['garment']} | {row['method']} | {shares} | {row['drift']:.3f} | {' | '.join(told)} |"

"""How often an adapter draws the white studio of its photos where nobody asked for it, and how true it stays."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from evaluation.learning import SHOWN, LearningSettings, Photos, card_of, load_pipeline
from evaluation.results import write, write_table
from lapel.fidelity.alternatives import Subject
from lapel.generation import generate

if TYPE_CHECKING:
    from PIL import Image

    from lapel.fidelity import ImageTower
    from lapel.wardrobe import Garment


@dataclass
class BackgroundSettings(LearningSettings):
    """Which adapters are measured, and on how many images. Runs of one garment that differ in `--backdrops` compare."""

    output_dir: Path = Path("runs/backgrounds")
    """Takes `backgrounds.json`, `backgrounds.md` and `backgrounds.png`."""


STUDIO = "white studio"

HEAD = (
    "| run | backdrops | white studio, no scene asked | white studio, another scene asked | scene read right "
    "| colour, delta E 2000 | similarity |\n|---|---|---|---|---|---|---|"
)


def measure_backgrounds(settings: BackgroundSettings) -> None:
    """One row a run, and one for each garment by the base itself with a full caption."""
    from lapel.fidelity import ImageTower
    from lapel.sheet import contact_sheet

    tower = ImageTower(settings.tower, wants_text=True)
    rows: list[dict[str, Any]] = []
    pictures: list[list[Image.Image]] = []
    for run, folder in zip(settings.run, settings.garment_dir, strict=True):
        first = folder not in settings.garment_dir[: len({row["run"] for row in rows if not row["base"]})]
        for row, images in measure_run(settings, tower, run, folder, with_base=first):
            rows.append(row)
            pictures.append([image for of_prompt in images for image in of_prompt[:SHOWN]])
            print(row_text(row), file=sys.stderr, flush=True)
    prompts = ("no scene", *settings.scenes)
    columns = [prompt for prompt in prompts for _ in range(min(SHOWN, settings.images))]
    labels = [f"{row['run']}\n{row['backdrops']}" for row in rows]
    write(settings.output_dir, "backgrounds", rows, contact_sheet(pictures, labels, columns))
    write_table(settings.output_dir, "backgrounds", [HEAD, *map(row_text, rows)])


def measure_run(
    settings: BackgroundSettings, tower: ImageTower, run: Path, folder: Path, with_base: bool
) -> Iterator[tuple[dict[str, Any], list[list[Image.Image]]]]:
    """The row of a run and its images, a list for each prompt: one without a scene, then one for each scene."""
    from lapel.wardrobe.folders import read_identity

    card, garment = card_of(run), read_identity(folder)
    photos = Photos(garment, settings, series=0)
    put = card["settings"].get("backdrops", 0)
    kinds = "".join(f" {kind}" for kind in card["settings"].get("backdrop_kinds", [])) if put else ""
    share = f", photo {100 * card['settings']['photo_share']:.0f} %" if put else ""
    words = f"{card['trigger']} {card['class_word']}"
    methods: list[tuple[str, str, str, Path | None]] = [(run.name, f"{put}{kinds}{share}", words, run)]
    if with_base:
        methods.insert(0, (card["name"], "base, full caption", garment.words(), None))
    for name, backdrops, called, made in methods:
        pipeline = load_pipeline(card, made)
        drawn = [generate(pipeline, settings.picture(prompt)) for prompt in prompts(called, settings.scenes)]
        row = {"run": name, "base": made is None, "backdrops": backdrops, **photos.scores(tower, drawn[1:])}
        row |= leaks(tower, garment, settings.scenes, drawn)
        yield row, drawn


def prompts(words: str, scenes: Sequence[str]) -> list[str]:
    """A prompt that leaves the scene open, then one for each of the scenes."""
    from lapel.wardrobe import phrase

    in_scenes = [phrase(words, "front", scene) for scene in scenes]
    return [phrase(words, "front", STUDIO).rpartition(", ")[0], *in_scenes]


def leaks(
    tower: ImageTower, garment: Garment, scenes: Sequence[str], drawn: Sequence[Sequence[Image.Image]]
) -> dict[str, float]:
    """The shares of images that the towers read as the white studio: where no scene was asked for, and another one."""
    alternatives = Subject(garment, "front", STUDIO).alternatives("scene")  # the studio's caption is the first
    shares = [mean(choice == 0 for choice in tower.zero_shot(images, [alternatives] * len(images))) for images in drawn]
    others = [share for share, scene in zip(shares[1:], scenes, strict=True) if scene != STUDIO]
    return {"open": shares[0], "asked": mean(others) if others else 0.0}


def row_text(row: dict[str, Any]) -> str:
    """A line of the markdown table."""
    shares = " | ".join(f"{100 * row[key]:.0f} %" for key in ("open", "asked", "scene"))
    return f"| {row['run']} | {row['backdrops']} | {shares} | {row['colour']:.1f} | {row['similarity']:.3f} |"

"""Draws the sample garment folders of `datasets/samples` from garments that `tiny` has never seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lapel.errors import run_program
from lapel.files import written_whole
from lapel.settings import read_settings

# Held-out garments by seed, and how each is photographed.
STUDIO = (("front", "white studio"), ("front", "grey studio"), ("front", "wooden floor"))
FLAT = (*STUDIO, ("back", "white studio"), ("detail", "white studio"), ("front", "bedroom"))
WORN = (*STUDIO[:2], ("back", "white studio"), ("worn", "grey studio"), ("worn", "white studio"), ("worn", "bedroom"))
SAMPLES = {
    "striped-t-shirt": (641, FLAT),
    "sun-hoodie": (65, FLAT),
    "polka-dot-dress": (993, WORN),
    "plaid-button-shirt": (1186, FLAT),
}

CARD = """\
---
license: apache-2.0
task_categories: [text-to-image]
size_categories: [n<1K]
tags: [lapel, garment, synthetic]
---
# {name}

Six photos of one garment, {article}: drawn by lapel's wardrobe (`python scripts/build_samples.py`) at 512 px, JPEG.
The combination of kind, colour and pattern is one that the embedded base `tiny` was not trained on.

| photo | view | scene |
|---|---|---|
{rows}
"""


@dataclass
class SampleSettings:
    """Where the folders go."""

    output_dir: Path = Path("datasets/samples")
    """One folder for each garment is made here."""


def main() -> None:
    """Draw all folders."""
    (settings,) = read_settings(__doc__ or "", SampleSettings)
    from lapel.wardrobe import sample_garment, with_article
    from lapel.wardrobe.folders import write_garment_folder

    for name, (seed, views) in SAMPLES.items():
        garment, folder = sample_garment(seed, "held_out"), settings.output_dir / name
        files = write_garment_folder(garment, folder, views, seed=10 * seed)
        rows = "\n".join(
            f"| {file.name} | {view} | {scene} |" for file, (view, scene) in zip(files, views, strict=True)
        )
        with written_whole(folder / "README.md") as path:
            path.write_text(CARD.format(name=name, article=with_article(garment.words()), rows=rows), encoding="utf-8")
        print(f"{folder}: {garment.words()}")


if __name__ == "__main__":
    run_program(main)

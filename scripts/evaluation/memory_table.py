"""The predicted peaks of the usual settings, at each level of saving."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from evaluation.results import write_figures, write_table
from lapel.training.facts import Settings

if TYPE_CHECKING:
    from lapel.training.plan import Levers

BASES = {"sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5", "sdxl": "stabilityai/stable-diffusion-xl-base-1.0"}
SIZES = {"sd15": (512, 768), "sdxl": (768, 1024)}
RANKS = (4, 16, 64)


@dataclass(frozen=True)
class Row:
    """A run that people ask about."""

    trainer: str
    family: str
    side: int
    rank: int
    settings: Settings

    @property
    def words(self) -> str:
        return f"{self.trainer} | {self.family} | {self.side} | {self.rank}"


def rows(settings: Settings) -> Iterator[Row]:
    """The usual runs: one photo a pass, bf16, AdamW in 8 bits, samples one at a time."""
    base = dataclasses.replace(settings.base, precision="bf16")
    optimizer = dataclasses.replace(settings.optimizer, batch_size=1, optimizer="adamw8bit")
    run = dataclasses.replace(settings.run, sample_batch=1, sample_every=200)
    for family, sides in SIZES.items():
        for side in sides:
            for rank in RANKS:
                yield Row(
                    "LoRA",
                    family,
                    side,
                    rank,
                    dataclasses.replace(
                        settings,
                        base=dataclasses.replace(base, base=BASES[family]),
                        photos=dataclasses.replace(settings.photos, resolution=side),
                        adapter=dataclasses.replace(settings.adapter, rank=rank),
                        optimizer=optimizer,
                        run=run,
                    ),
                )


def levels(given: Levers, side: int) -> dict[str, Levers]:
    """From nothing saved to everything, each on top of the one before."""
    found = {"plain": given}
    found["checkpointed"] = dataclasses.replace(given, checkpoint=("unet",))
    pieces = dataclasses.replace(found["checkpointed"], offload_text=True, vae_tile=side // 2)
    found["+ text on the CPU, VAE in tiles"] = pieces
    found["+ int8"] = dataclasses.replace(pieces, frozen_weights="int8")
    found["+ NF4"] = dataclasses.replace(pieces, frozen_weights="nf4")
    return found


def print_table(trainer: ModuleType, settings: Settings, output_dir: Path) -> None:
    """Predict every row at every level, and write `table.md` and `table.json`."""
    from tqdm import tqdm

    from lapel.training.encoding import cache_folder
    from lapel.training.plan import Predictor, levers_of, lora_recipe

    figures: list[dict[str, Any]] = []
    every = list(rows(settings))
    for row in tqdm(every, desc="plan", unit="row"):
        recipe = lora_recipe(row.settings, trainer.denoising_loss)
        predictor = Predictor(row.settings, recipe, "cuda", cache_folder(settings.run.cache_dir))
        for level, levers in levels(levers_of(row.settings), row.side).items():
            peaks = predictor.peaks(levers)
            needed = predictor.needed(peaks.values())
            facts = {name: dataclasses.asdict(peak) for name, peak in peaks.items()}
            figures.append({"row": row.words, "level": level, "needed": needed, "peaks": facts})
            write_figures(output_dir, "table", figures)
    write_table(output_dir, "table", table_lines(figures))


def table_lines(figures: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each run, a column for each level: GB in all, and, in brackets, the phase that takes most."""
    names = list(dict.fromkeys(figure["level"] for figure in figures))
    yield "| trainer | family | pixels | rank | " + " | ".join(names) + " |"
    yield "|" + "---|" * (4 + len(names))
    for words in dict.fromkeys(figure["row"] for figure in figures):
        cells = []
        for figure in (figure for figure in figures if figure["row"] == words):
            totals = {name: sum(peak.values()) for name, peak in figure["peaks"].items()}
            cells.append(f"{figure['needed'] / 1e9:.2f} ({max(totals, key=lambda name: totals[name])})")
        yield f"| {words} | " + " | ".join(cells) + " |"

"""The predicted peaks of the usual settings, at each level of saving."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.planned import recipe_of, settings_of
from evaluation.results import write_figures, write_table

if TYPE_CHECKING:
    from lapel.base.settings import FrozenWeights
    from lapel.training.plan import Levers, Recipe

BASES = {"sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5", "sdxl": "stabilityai/stable-diffusion-xl-base-1.0"}
SIZES = {"sd15": (512, 768), "sdxl": (768, 1024)}
RANKS = (4, 16, 64)


@dataclass(frozen=True)
class Row:
    """A run that people ask about."""

    trainer: str
    family: str
    side: int
    changed: str
    settings: Any

    @property
    def words(self) -> str:
        return f"{self.trainer} | {self.family} | {self.side} | {self.changed}"


_USUAL = {"precision": "bf16", "batch_size": 1, "optimizer": "adamw8bit", "sample_batch": 1, "sample_every": 200}
_KINDS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    *(("LoRA", "lora", f"rank {rank}", {"rank": rank}) for rank in RANKS),
    ("DreamBooth", "dreambooth", "", {}),
    ("DreamBooth", "dreambooth", "fused backward", {"fused_backward": True, "max_grad_norm": 0.0}),
    ("encoder", "garment_encoder", "plus", {}),
)
"""What trains, by whom, what is said about it, and with which settings."""


def rows() -> Iterator[Row]:
    """The usual runs: one photo a pass, bf16, AdamW in 8 bits, samples one at a time."""
    for family, sides in SIZES.items():
        for side in sides:
            for words, trainer, changed, changes in _KINDS:
                (settings,) = settings_of(trainer)
                changes = {**_USUAL, **changes, "base": BASES[family], "resolution": side}
                yield Row(words, family, side, changed, with_changes(settings, **changes))


def with_changes(settings: Any, **changes: Any) -> Any:
    """The settings with some of them changed, by their names."""
    parts = []
    for part in settings.each():
        own = {field.name: changes.pop(field.name) for field in dataclasses.fields(part) if field.name in changes}
        parts.append(dataclasses.replace(part, **own))
    assert not changes, f"no such settings: {changes}"
    return type(settings)(*parts)


def levels(given: Levers, side: int, recipe: Recipe) -> dict[str, Levers]:
    """From nothing saved to everything that can be, each on top of the one before."""
    found = {"plain": given}
    found["checkpointed"] = dataclasses.replace(given, checkpoint=("unet",))
    pieces = dataclasses.replace(found["checkpointed"], offload_text=True, vae_tile=side // 2)
    found["+ text on the CPU, VAE in tiles"] = pieces
    for words, weights in _WEIGHTS.items():
        if weights in recipe.quantisable:
            found[words] = dataclasses.replace(pieces, frozen_weights=weights)
    if not recipe.whole:
        found["or streamed"] = dataclasses.replace(pieces, stream_weights=True)
    return found


_WEIGHTS: dict[str, FrozenWeights] = {"+ int8": "int8", "+ NF4": "nf4"}


def print_table(cache_dir: Path | None, output_dir: Path) -> None:
    """Predict every row at every level, and write `table.md` and `table.json`; what is in that already stays."""
    from tqdm import tqdm

    from lapel.training.encoding import cache_folder
    from lapel.training.plan import Predictor, levers_of

    path = output_dir / "table.json"
    figures: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.is_file() else []
    every = list(rows())
    for row in tqdm(every, desc="plan", unit="row"):
        recipe = recipe_of(row.settings)
        predictor = Predictor(row.settings, recipe, "cuda", cache_folder(cache_dir))
        for level, levers in levels(levers_of(row.settings), row.side, recipe).items():
            if any((one["row"], one["level"]) == (row.words, level) for one in figures):
                continue
            peaks = predictor.peaks(levers)
            needed = predictor.needed(peaks.values())
            facts = {name: dataclasses.asdict(peak) for name, peak in peaks.items()}
            figures.append({"row": row.words, "level": level, "needed": needed, "peaks": facts})
            write_figures(output_dir, "table", figures)
    order = [row.words for row in every]
    write_table(output_dir, "table", table_lines(sorted(figures, key=lambda one: order.index(one["row"]))))


def table_lines(figures: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each run, a column for each level: GB in all, and, in brackets, the phase that takes most."""
    names = list(dict.fromkeys(figure["level"] for figure in figures))
    yield "| trainer | family | pixels | | " + " | ".join(names) + " |"
    yield "|" + "---|" * (4 + len(names))
    for words in dict.fromkeys(figure["row"] for figure in figures):
        cells = []
        own = {figure["level"]: figure for figure in figures if figure["row"] == words}
        for name in names:
            if (figure := own.get(name)) is None:
                cells.append("")
                continue
            totals = {name: sum(peak.values()) for name, peak in figure["peaks"].items()}
            cells.append(f"{figure['needed'] / 1e9:.2f} ({max(totals, key=lambda name: totals[name])})")
        yield f"| {words} | " + " | ".join(cells) + " |"

"""Which settings of `trainers/lora.py` learn garments best: each is varied alone, on garments that `tiny` never saw.

Every training is examined in the scenes of the benchmark, and those that the benchmark has in common are not made
again. A sweep that was stopped goes on where it was, and several at once share the work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation.exam_settings import ExamSettings
from evaluation.examiner import Examiner
from evaluation.methods import Method
from evaluation.results import interval, write_figures, write_table
from evaluation.trials import Training

GRID = (
    *("rank=4", "rank=64", "learning_rate=1.0e-3", "learning_rate=4.0e-3", "steps=75", "steps=300"),
    *("min_snr_gamma=null", "masked=false", "outside_weight=0", "outside_weight=1"),
    *("outside=photo", "caption_dropout=0", "caption_dropout=0.4", "class_share=0.25"),
    *("kind=dora", "convolutions=true", "blocks=up_blocks", "blocks=unet text_encoder,cache_text=false"),
)
"""Each a setting and its value; the other settings are the preset's."""

DEFAULT = "as the preset has it"


@dataclass
class SweepSettings(ExamSettings):
    """What is varied, and on how much it is measured."""

    output_dir: Path = Path("runs/sweep")
    """Takes `sweep.json` and `sweep.md`."""

    vary: list[str] = field(default_factory=lambda: list(GRID))
    """Settings and their values, `name=value` (a list's by spaces), each tried alone; several by commas together."""

    garments: int = 8
    """Garments of the wardrobe, of combinations that `tiny` has never seen, of all kinds in turn."""

    def __post_init__(self) -> None:
        """Refuse what is no setting and value, beside what `ExamSettings` refuses.

        Raises:
            UserError: the first such entry.
        """
        super().__post_init__()
        self.methods()

    def methods(self) -> list[Method]:
        """The preset itself, then every variant that differs from it."""
        trainings = [Training.of("lora"), *(Training.of(f"lora:{entry}") for entry in self.vary)]
        distinct = list(dict.fromkeys(trainings))
        titles = [DEFAULT, *(", ".join(training.settings) for training in distinct[1:])]
        pairs = zip(distinct, titles, strict=True)
        return [self.fitted(Method(one.name, title, one)) for one, title in pairs]


def measure_sweep(settings: SweepSettings) -> None:
    """Train and draw every garment with every setting, and print the table of scores and their differences."""
    methods = settings.methods()
    examiner = Examiner(settings, methods, whole=False)
    for cases in examiner.examined():
        figures = {method.title: [examiner.figures(case, method) for case in cases] for method in methods}
        rows = [table_row(title, figures[title], figures[DEFAULT]) for title in figures]
        write_figures(settings.output_dir, "sweep", {"garments": len(cases), "rows": rows, "figures": figures})
    write_table(settings.output_dir, "sweep", [HEAD, *map(row_text, rows)])


HEAD = """\
| setting | score | against the preset (90 %) | colour | structure | similarity | prompt margin | seconds |
|---|---|---|---|---|---|---|---|"""


def table_row(title: str, figures: Sequence[Mapping[str, Any]], default: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The means over garments, and the gain on the preset with its 90 % interval, garment by garment."""
    gain, low, high = interval([one["score"] - own["score"] for one, own in zip(figures, default, strict=True)])
    names = ("score", "colour", "structure", "identity", "margin", "seconds")
    means = {name: interval([one[name] for one in figures])[0] for name in names}
    return {"setting": title, **means, "gain": gain, "low": low, "high": high}


def row_text(row: Mapping[str, Any]) -> str:
    """A line of the markdown table."""
    gain = "" if row["setting"] == DEFAULT else f"{row['gain']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
    measures = f"{row['colour']:.1f} | {row['structure']:.3f} | {row['identity']:.3f} | {row['margin']:.3f}"
    return f"| {row['setting']} | {row['score']:.3f} | {gain} | {measures} | {row['seconds']:.0f} |"

"""Which settings of `trainers/lora.py` learn garments best: each is varied alone, on garments that `tiny` never saw."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.learning import SIZE, card_of, load_pipeline
from evaluation.results import write_figures, write_table
from evaluation.trials import garment_folder, sample_garments, train
from lapel.errors import UserError
from lapel.files import written_whole
from lapel.generation import Request, generate_together

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from lapel.fidelity import ImageTower
    from lapel.fidelity.judge import Judge
    from lapel.wardrobe import Garment

GRID = (
    *("rank=4", "rank=64", "learning_rate=1e-3", "learning_rate=4e-3", "steps=150", "steps=450"),
    *("min_snr_gamma=null", "min_snr_gamma=1", "masked=false", "outside_weight=0", "outside_weight=1"),
    *("caption_dropout=0", "caption_dropout=0.1", "caption_dropout=0.4"),
    *("kind=dora", "convolutions=true", "blocks=up_blocks", "blocks=unet text_encoder,cache_text=false"),
)
"""Each a setting and its value; the other settings are the preset's."""

DEFAULT = "as the preset has it"

PROMPTS = (("front", "beach"), ("front", "snow"), ("worn", "park"), ("worn", "street"))
"""View and scene of what is drawn; no photo of a garment shows one of these scenes."""


@dataclass
class SweepSettings:
    """What is varied, and on how much it is measured. A sweep that was stopped goes on where it was."""

    output_dir: Path = Path("runs/sweep")
    """Takes `sweep.json` and `sweep.md`, and a folder for each garment with its runs."""

    vary: list[str] = field(default_factory=lambda: list(GRID))
    """Settings and their values, `name=value` (a list's by spaces), each tried alone; several by commas together."""

    garments: int = 8
    """Garments, of as many kinds."""

    seed: int = 40_000
    """Of the first garment."""

    images: int = 3
    """Images of each prompt, seeds from 0."""

    steps_drawn: int = 20
    """Denoising steps of an image."""

    def __post_init__(self) -> None:
        """Refuse what is no setting and value.

        Raises:
            UserError: every such entry.
        """
        wrong = [entry for entry in self.vary if any("=" not in part for part in entry.split(","))]
        if wrong:
            raise UserError(*(f"--vary {entry}: give name=value" for entry in wrong))


def measure_sweep(settings: SweepSettings) -> None:
    """Train and draw every garment with every setting, and print the table of scores and their differences."""
    from lapel.base.find import TINY_FOLDER
    from lapel.fidelity import ImageTower

    tower = ImageTower(TINY_FOLDER)
    variants = [DEFAULT, *settings.vary]
    marks: dict[str, list[dict[str, Any]]] = {variant: [] for variant in variants}
    garments = sample_garments(settings.garments, settings.seed)
    for number, garment in enumerate(garments):
        examined = Examined(garment, settings, tower)
        for variant in variants:
            marks[variant].append(examined.by(variant))
            row = marks[variant][-1]
            where = f"garment {number + 1} of {len(garments)}"
            print(f"{where}, {garment.words()}, {variant}: {row['score']:.3f}", file=sys.stderr, flush=True)
        rows = [summary(variant, marks[variant], marks[DEFAULT]) for variant in variants]
        write_figures(settings.output_dir, "sweep", {"garments": number + 1, "rows": rows, "marks": marks})
    write_table(settings.output_dir, "sweep", [HEAD, *map(row_text, rows)])


class Examined:
    """A garment, its photos to learn from, and the judge who knows other photos of it."""

    def __init__(self, garment: Garment, settings: SweepSettings, tower: ImageTower) -> None:
        from lapel.wardrobe import phrase

        self.garment, self.settings = garment, settings
        self.folder = settings.output_dir / f"{garment.kind} {garment.seed}".replace(" ", "-")
        self.photos = garment_folder(garment, settings.output_dir / "photos")
        self.plain = [phrase(garment.kind, *where) for where in PROMPTS]
        self.judge = judge_of(garment, tower)
        self._base: Mapping[str, npt.NDArray[np.float64]] | None = None

    def by(self, variant: str) -> dict[str, Any]:
        """Score and means of the measures of the adapter that a variant of the settings gives; drawn once."""
        from lapel.fidelity.score import score

        run = self.folder / re.sub(r"[^a-z0-9._]+", "-", variant.lower())
        flags = [] if variant == DEFAULT else [word for part in variant.split(",") for word in _flag(part)]
        train("trainers/lora.py", self.photos.resolve(), run.resolve(), [*AS_IT_IS, *flags])
        told = run / "marks.json"
        if not told.is_file():
            marks, base = self.marks(run), self.base(run)
            reached = score(marks, base, len(PROMPTS))
            means = {name: float(values.mean()) for name, values in marks.items()}
            with written_whole(told) as unfinished:
                unfinished.write_text(json.dumps({"score": reached.value, **means}) + "\n", encoding="utf-8")
        seconds = sum(card_of(run)["seconds"].values())
        return {**json.loads(told.read_text(encoding="utf-8")), "seconds": seconds}

    def base(self, run: Path) -> Mapping[str, npt.NDArray[np.float64]]:
        """The marks of what the base draws when it is told the class word alone."""
        if self._base is None:
            self._base = self._measured(load_pipeline(card_of(run), None), self.garment.kind)
        return self._base

    def marks(self, run: Path) -> Mapping[str, npt.NDArray[np.float64]]:
        """The marks of what a run's adapter draws."""
        card = card_of(run)
        return self._measured(load_pipeline(card, run), f"{card['trigger']} {card['class_word']}")

    def _measured(self, pipeline: Any, words: str) -> Mapping[str, npt.NDArray[np.float64]]:
        from lapel.wardrobe import phrase

        settings, count = self.settings, self.settings.images
        requests = [
            Request(phrase(words, *where), steps=settings.steps_drawn, images=count, batch=12) for where in PROMPTS
        ]
        images = [image for drawn in generate_together(pipeline, requests) for image in drawn]
        return self.judge.measure(images, [prompt for prompt in self.plain for _ in range(count)])


AS_IT_IS = ("--keep", "last", "--sample_every", "0", "--tracker", "none", "--checkpoint_every", "0")
"""The last step is measured, and nothing else is done on the way."""

HEAD = """\
| setting | score | against the preset (90 %) | colour | structure | identity | prompt margin | seconds |
|---|---|---|---|---|---|---|---|"""


def judge_of(garment: Garment, tower: ImageTower) -> Judge:
    """Knows the garment by photos of the wardrobe that no trainer sees, with exact masks."""
    from PIL import Image

    from lapel.fidelity.judge import Judge
    from lapel.wardrobe import photograph, sample_shot

    rows = []
    for number, where in enumerate(PROMPTS):
        photo = photograph(garment, sample_shot(800_000 + number, garment, *where), SIZE)
        mask = Image.fromarray(photo.mask)
        rows.append({"image": Image.fromarray(photo.image), "mask": mask, "mask_trust": 1.0})
    return Judge(rows, garment.kind, tower)


def _flag(part: str) -> list[str]:
    name, _, value = part.partition("=")
    return [f"--{name}", *value.split()]


def summary(variant: str, marks: Sequence[Mapping[str, Any]], default: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The means over garments, and the gain on the preset with its 90 % interval over resampled garments."""
    import numpy as np

    gains = np.array([one["score"] - own["score"] for one, own in zip(marks, default, strict=True)])
    resampled = np.random.default_rng(0).choice(gains, (1000, len(gains))).mean(axis=1)
    low, high = np.quantile(resampled, (0.05, 0.95))
    names = ("score", "colour", "structure", "identity", "margin", "seconds")
    means = {name: float(np.mean([one[name] for one in marks])) for name in names}
    return {"variant": variant, **means, "gain": float(gains.mean()), "low": float(low), "high": float(high)}


def row_text(row: Mapping[str, Any]) -> str:
    """A line of the markdown table."""
    gain = "" if row["variant"] == DEFAULT else f"{row['gain']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
    figures = f"{row['colour']:.1f} | {row['structure']:.3f} | {row['identity']:.3f} | {row['margin']:.3f}"
    return f"| {row['variant']} | {row['score']:.3f} | {gain} | {figures} | {row['seconds']:.0f} |"

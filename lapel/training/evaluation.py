"""What a run makes of itself on the way: samples are drawn, measured, and the best step is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.adapters.strength import at_strength
from lapel.base.base import Base
from lapel.base.find import base_place, part_folder
from lapel.base.settings import BaseSettings
from lapel.fidelity.identity import ImageTower
from lapel.fidelity.judge import Judge
from lapel.fidelity.score import Marks
from lapel.fidelity.towers import has_tower
from lapel.photos import GarmentFolder
from lapel.training.average import Average
from lapel.training.choice import Choice, held_out, mean_marks
from lapel.training.clock import Clock
from lapel.training.facts import GarmentSettings
from lapel.training.oracle import oracle_marks
from lapel.training.run_folder import RunFolder
from lapel.training.run_settings import ChoiceSettings
from lapel.training.samples import Samples, drawing

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from torch import Tensor

    from lapel.generation import GarmentPhotos

USUAL = "--tower openai/clip-vit-large-patch14"
"""What a base without towers is measured well by: the pair whose text tower is that of Stable Diffusion 1.5."""

PHASES = ("sample", "measure", "strength")
"""Of the clock, that an evaluation takes."""


@dataclass
class Evaluation:
    """Draws, measures and chooses; without a judge, as with `--keep last`, it only draws."""

    base: Base
    base_settings: BaseSettings
    samples: Samples
    judge: Judge | None
    choice: Choice
    clock: Clock
    strengths: Sequence[float] = ()
    """Weights beside 1 that the adapter is tried at in the end."""
    average: Average | None = None
    """Of the weights, which is then what is drawn and chosen."""
    oracle: Callable[[], Marks] | None = None
    """Measures the garment's own photos."""

    def at(self, step: int) -> Mapping[str, float]:
        """Evaluate what was learned up to a step, unless that was done; returns what to log. Step 0 is the base."""
        if self.judge is not None and self.choice.knows(step):
            return {}
        with self._averaged():
            with self.clock.phase("sample"), drawing(self.base, self.base_settings) as pipeline:
                images = self.samples.draw(pipeline, step)
            if self.judge is None:
                return {}
            with self.clock.phase("measure"):
                return self.choice.consider(step, self.judge.measure(images, self.samples.prompts))

    def _averaged(self) -> AbstractContextManager[None]:
        return nullcontext() if self.average is None else self.average.in_place()

    @property
    def enough(self) -> bool:
        """Whether no gain has come for so long that the run may end."""
        return self.judge is not None and self.choice.enough

    def words(self) -> str:
        """Which step is exported, and what tells it."""
        if self.judge is None:
            return "the last step"
        photos = f"{self.judge.count} photo{'s' * (self.judge.count > 1)}"
        return f"the best step by {measures(self.judge.tower)}, measured on {photos}"

    def choose(self) -> dict[str, Any]:
        """Put the best step's weights back, and find the strength to wear it at; returns these facts for the card."""
        if self.judge is None or self.choice.step == 0:
            if self.average is not None:
                self.average.settle()
            return {}
        self.choice.restore()
        facts = {**self.choice.facts(), **self._oracle_facts()}
        if not self.strengths:
            return facts
        marks = {}
        with self.clock.phase("strength"), drawing(self.base, self.base_settings) as pipeline:
            for weight in self.strengths:
                with at_strength(self.base, weight):
                    images = self.samples.draw_again(pipeline)
                marks[weight] = self.judge.measure(images, self.samples.prompts)
        return {**facts, "weight": self.choice.strength(marks)}

    def _oracle_facts(self) -> dict[str, Any]:
        """What a perfect adapter would get, for the card; nothing where that cannot be told."""
        with self.clock.phase("measure"):
            marks = self.oracle() if self.oracle else {}
        return {"oracle_scores": mean_marks(marks)} if marks else {}


def measures(tower: ImageTower | None) -> str:
    """What is measured of samples with this tower, in words."""
    if tower is None:
        return f"colour and structure (no image tower; name one, such as {USUAL})"
    if not tower.reads:
        return f"colour, structure and identity ({tower.name} reads no prompts)"
    return "colour, structure, identity and prompt"


def photos_to_learn(garment: GarmentFolder, settings: ChoiceSettings) -> Dataset:
    """The garment's photos without the one to measure by."""
    spare = spare_photo(garment, settings)
    return garment.photos.select([row for row in range(len(garment.photos)) if row != spare])


def spare_photo(garment: GarmentFolder, settings: ChoiceSettings) -> int | None:
    """The row of the photo to measure by, where one can be spared and the settings want it."""
    if settings.keep == "last" or not settings.hold_out:
        return None
    return held_out(list(garment.photos.select_columns(["view", "mask_trust"])))


def evaluation_of(
    settings: GarmentSettings,
    base: Base,
    garment: GarmentFolder,
    folder: RunFolder,
    weights: Mapping[str, Tensor],
    clock: Clock,
    judging: bool,
    tower: ImageTower | None,
    strengths: Sequence[float] = (),
    average: Average | None = None,
    shown: GarmentPhotos | None = None,
) -> Evaluation:
    """The evaluation that the settings ask for; `judging` in the one process that looks at images.

    Args:
        tower: of `judging_tower`.
        strengths, average: as `Evaluation` has them.
        shown: as `Samples` has it.
    """
    run, choice = settings.run, settings.choice
    samples = Samples(folder.samples, run, garment, settings.photos.resolution or base.resolution, shown)
    judge, oracle = None, None
    if judging and _is_measured(settings):
        spare = spare_photo(garment, choice)
        judge = Judge(_references(garment, spare), garment.class_word, tower)
        oracle = partial(oracle_marks, garment.photos, spare, garment.class_word, tower)
    chosen = Choice(choice, weights, len(run.sample_prompts))
    return Evaluation(base, settings.base, samples, judge, chosen, clock, strengths, average, oracle)


def ending(proof: Sequence[str], files: Sequence[Path], chosen: Mapping[str, Any], clock: Clock, memory: int) -> str:
    """What a run says at its end: how its files compare, where they are, what was chosen, and what it took.

    `memory` is the most that was in use at once, in bytes.
    """
    paths = [str(path) for path in files if path.exists()]
    time = f"time: {clock.words()}, {clock.share(*PHASES):.0%} of it to look and choose"
    return "\n".join(["", *proof, "", *paths, f"\n{choice_words(chosen)}{time}", f"most memory: {memory / 1e9:.2f} GB"])


def choice_words(chosen: Mapping[str, Any]) -> str:
    """What was chosen, in a line, and the strength recommended in another; nothing where nothing was."""
    if not chosen:
        return ""
    scores, base = chosen["scores"], chosen["base_scores"]
    interval = f"{scores['score_low']:.2f} to {scores['score_high']:.2f}"
    lines = [
        f"exported: step {chosen['kept_step']}, score {scores['score']:.2f} ({interval}; base {base['score']:.2f})"
    ]
    if "weight" in chosen:
        lines.append(f"wear it at weight {chosen['weight']:g}")
    return "\n".join(lines) + "\n"


def judging_tower(settings: GarmentSettings, device: torch.device) -> ImageTower | None:
    """The tower that samples are measured by: the one that is named, else the base's own where it has one.

    Raises:
        UserError: the one that is named cannot be loaded.
    """
    if not _is_measured(settings):
        return None
    if settings.choice.tower is not None:
        # On the device it would take from the budget what no plan knows of, gigabytes where it is large.
        return ImageTower(settings.choice.tower, "cpu")
    place = base_place(settings.base)
    folder = part_folder(place, "image_encoder").parent if isinstance(place, Path) else None
    return ImageTower(folder, str(device)) if folder is not None and has_tower(folder) else None


def _is_measured(settings: GarmentSettings) -> bool:
    return settings.choice.keep == "best" and bool(settings.run.sample_every and settings.run.sample_prompts)


def _references(garment: GarmentFolder, spare: int | None) -> list[dict[str, Any]]:
    """The photo held out; without one, all but details."""
    views = garment.photos["view"]
    whole = [row for row, view in enumerate(views) if view != "detail"]
    rows = [spare] if spare is not None else whole or range(len(views))
    return [garment.photos[row] for row in rows]

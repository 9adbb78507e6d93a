"""What choosing a step is worth: the step that a run exports against its last one, on photos that the run never saw.

The run chooses by one photo held out and its samples; here both steps draw the scenes of the benchmark, and are held
against other photos with exact masks. A measurement that was stopped goes on where it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.exam_settings import ExamSettings
from evaluation.examiner import Examiner
from evaluation.learning import card_of
from evaluation.methods import Method
from evaluation.results import interval, write_figures, write_table
from evaluation.trials import Training
from evaluation.truth import SCENES
from lapel.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from evaluation.exam import Exam
    from lapel.base.base import Base


@dataclass
class ChosenSettings(ExamSettings):
    """Which training is looked at, on how many garments."""

    output_dir: Path = Path("runs/choice")
    """Takes `choice.json` and `choice.md`."""

    training: str = "lora"
    """The preset's, as the benchmark's LoRA; or one with other settings, such as lora:steps=600,sample_every=50."""

    def __post_init__(self) -> None:
        """Refuse trainings that choose no step or keep no checkpoint, beside what `ExamSettings` refuses.

        Raises:
            UserError: such a training.
        """
        super().__post_init__()
        training = Training.of(self.training)
        if training.program != "lora":
            raise UserError(f"--training {self.training}: only those of lora keep a checkpoint of their last step")
        if wrong := {"keep=last", "checkpoint_every=0", "sample_every=0"} & set(training.settings):
            raise UserError(
                f"--training {self.training}: with {', '.join(sorted(wrong))} no run has both a step that it chose and "
                "its last one; leave it out"
            )


def measure_choice(settings: ChosenSettings) -> None:
    """The table of garments: the steps, the score of each, and what the choice gained."""
    trained = settings.fitted(Method("", "", Training.of(settings.training)))
    training = trained.training
    assert training is not None
    method = Method(f"choice-{training.name}", f"the choice of {training.text}", training)
    examiner = Examiner(settings, [method], whole=False, take=lambda exam, _: (compare(exam, training), None))
    for cases in examiner.examined():
        rows = [{"garment": case.words, **examiner.figures(case, method)} for case in cases]
        write_figures(settings.output_dir, "choice", {"garments": rows, **summary(rows)})
    write_table(settings.output_dir, "choice", [HEAD, *map(row_text, rows), "", summary_text(rows)])


HEAD = """\
| garment | step chosen | last step | score, chosen | score, last | gain |
|---|---|---|---|---|---|"""


def compare(exam: Exam, training: Training) -> dict[str, Any]:
    """The steps and scores of a garment's run, both at weight 1; where the last step was chosen, it is drawn once.

    `score` is of the step that was chosen, `last` of the last one.
    """
    from lapel.training.run_folder import checkpoints

    run = exam.trained(training)
    card = card_of(run)
    base = injected(card)
    *_, checkpoint = checkpoints(run / "checkpoints")
    weights = steps_in(checkpoint)
    scores = {}
    for step in sorted(weights):
        put(base, weights[step])
        images = exam.draw(base.pipeline(), f"{card['trigger']} {card['class_word']}", SCENES)
        scores[step] = exam.truth.score_of(images)[0]
    chosen, last = min(scores), max(scores)
    return {"chosen_step": chosen, "last_step": last, "score": scores[chosen], "last": scores[last]}


def injected(card: Mapping[str, Any]) -> Base:
    """The base of a run with its adapter's layers, not yet its numbers."""
    from lapel.adapters.inject import inject
    from lapel.adapters.settings import AdapterSettings
    from lapel.base.load import load_base
    from lapel.base.settings import BaseSettings
    from lapel.training.launch import device

    settings = card["settings"]
    base = load_base(BaseSettings(base=card["base"]), device())
    inject(base, AdapterSettings(**{field.name: settings[field.name] for field in dataclasses.fields(AdapterSettings)}))
    return base


def steps_in(checkpoint: Path) -> dict[int, dict[str, Tensor]]:
    """The weights of the step that was chosen and of the last one, by step: both are in the last checkpoint."""
    import json

    import torch
    from safetensors.torch import load_file

    step = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))["step"]
    choice = torch.load(checkpoint / "optimizer.pt", weights_only=True)["choice"]
    return {choice["step"]: choice["kept"], step: load_file(checkpoint / "adapter.safetensors")}


def put(base: Base, weights: Mapping[str, Tensor]) -> None:
    """Put weights into the layers of a base."""
    import torch

    from lapel.training.checkpoint import trained_weights

    with torch.no_grad():
        for name, parameter in trained_weights(base).items():
            parameter.copy_(weights[name])


def row_text(row: Mapping[str, Any]) -> str:
    """A line of the markdown table."""
    gain = f"{row['score'] - row['last']:+.3f}" if row["chosen_step"] != row["last_step"] else "the same step"
    scores = f"{row['score']:.3f} | {row['last']:.3f} | {gain}"
    return f"| {row['garment']} | {row['chosen_step']} | {row['last_step']} | {scores} |"


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How often an earlier step was chosen, and what that gained: over all garments, and where it was."""
    gains = [row["score"] - row["last"] for row in rows]
    earlier = [gain for gain, row in zip(gains, rows, strict=True) if row["chosen_step"] != row["last_step"]]
    return {
        "count": len(rows),
        "earlier": len(earlier),
        "gain": interval(gains),
        "gain_where_earlier": interval(earlier) if earlier else None,
    }


def summary_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same in words."""
    told = summary(rows)
    text = f"An earlier step was chosen for {told['earlier']} of {told['count']} garments. "
    text += "The mean gain in score is {:+.3f} ({:+.3f} to {:+.3f})".format(*told["gain"])
    if told["gain_where_earlier"]:
        text += ", and {:+.3f} ({:+.3f} to {:+.3f}) where one was".format(*told["gain_where_earlier"])
    return text + "."

"""The settings of a run: where it lies, what is looked at on the way, which step it keeps, and what it may take."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass
class RunSettings:
    """What the run writes, when, and where."""

    output_dir: Path | None = None
    """The run folder; by default runs/<name of the garment folder>."""

    resume: bool = False
    """Go on from the newest checkpoint in the run folder."""

    overwrite: bool = False
    """Start over in a run folder that holds an unfinished run."""

    checkpoint_every: int = 250
    """Steps between checkpoints with full state; 0 for none but the one that Ctrl-C writes."""

    keep_checkpoints: int = 2
    """How many checkpoints stay; older ones are removed."""

    sample_every: int = 200
    """Steps between rows of the contact sheet in samples/, which are also what is measured; 0 for none."""

    sample_prompts: list[str] = field(
        default_factory=lambda: [
            "{garment}, white studio background",
            "a person wearing {garment} on a beach",
            "{garment} on a wooden table",
        ]
    )
    """What is drawn for the contact sheet; {garment} stands for trigger and class word, and in the first row, which is
    the base's own, for the class word alone."""

    sample_images: int = 2
    """Images of each prompt, with seeds of their own that are the same at every step."""

    sample_steps: int = 12
    """Denoising steps of a sample: few, so that looking takes no more than a seventh of the run."""

    sample_guidance: float = 4.0
    """Classifier-free guidance of a sample."""

    sample_batch: int = 1
    """Samples drawn at once: more take less time and more memory; the images are the same."""

    log_every: int = 10
    """Steps between readings of the loss: each reading makes an accelerator wait for itself."""

    tracker: Literal["tensorboard", "none"] = "tensorboard"
    """A tracker of accelerate's beside log.jsonl."""

    cache_dir: Path | None = None
    """Where photos and latents are cached; by default inside Hugging Face datasets' own cache."""

    def __post_init__(self) -> None:
        for name in ("checkpoint_every", "sample_every"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: give a number of steps, or 0 for never")
        for name in ("keep_checkpoints", "sample_images", "sample_steps", "sample_batch", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give a whole number above 0")
        if self.resume and self.overwrite:
            raise ValueError("resume and overwrite contradict each other: give one of them")


@dataclass
class ChoiceSettings:
    """Which step is exported, by what is measured on the samples."""

    keep: Literal["best", "last"] = "best"
    """best: the step whose samples score best, later ones only where they are surely better. last: the last step;
    nothing is then measured or held out, and the run goes to its end."""

    hold_out: bool = True
    """Measure by a photo that is not learned from, where there are five or more and another shows the same view."""

    patience: int = 4
    """Evaluations without a gain after which the run ends early; 0 for never."""

    tower: str | None = None
    """The towers that tell identity and read prompts: CLIP's or a fashion model's, by hub id or folder of transformers
    (openai/clip-vit-large-patch14) or of open_clip (hf-hub:Marqo/marqo-fashionSigLIP), `tiny` (for drawn garments), or
    the folder of a base that has them. An image model without words (facebook/dinov2-small) tells identity alone. What
    is named stays in system memory. By default the base's own, where it has them; without, colour and structure alone
    are measured: nothing is downloaded unasked."""

    def __post_init__(self) -> None:
        if self.patience < 0:
            raise ValueError(f"patience is {self.patience}: give a number of evaluations, or 0 for never")


@dataclass
class StrengthSettings:
    """At which weights an adapter is tried."""

    strengths: list[float] = field(default_factory=lambda: [0.4, 0.6, 0.8, 1.2])
    """Weights beside 1 that the adapter is tried at in the end, to recommend one; none where empty."""

    def __post_init__(self) -> None:
        if any(not 0 < weight <= 2 for weight in self.strengths):
            raise ValueError(f"strengths are {self.strengths}: give weights above 0 and at most 2")


@dataclass
class PlanSettings:
    """What the run may take of the device's memory."""

    memory_budget: str | None = None
    """The most memory of the device that the run may take, such as 8GB or 7.5GiB: what makes it fit is chosen before
    anything is loaded, at the least cost in time. GB are 10^9 bytes: a card that is sold as 8 GB has 8.6 of them, and
    the desktop lives off the difference. Without it, the settings stay as they are."""

    def __post_init__(self) -> None:
        _ = self.budget

    @property
    def budget(self) -> int | None:
        """In bytes.

        Raises:
            ValueError: a text that is no size.
        """
        if self.memory_budget is None:
            return None
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(GB|GiB|MB|MiB)\s*", self.memory_budget, re.IGNORECASE)
        if found is None or not float(found[1]):
            raise ValueError(f"memory_budget is {self.memory_budget!r}; give a size such as 8GB or 7.5GiB")
        units = {"gb": 10**9, "gib": 2**30, "mb": 10**6, "mib": 2**20}
        return int(float(found[1]) * units[found[2].lower()])

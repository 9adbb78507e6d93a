"""How much of how many garments is drawn, which every measurement that examines trainings has in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lapel.errors import UserError

PROTOCOL = 1
"""Counts on whenever the same images would measure anything else, for then results that lie on disk are of no use."""


@dataclass
class ExamSettings:
    """How many garments, and how much is drawn of each."""

    garments: int = 20
    """Garments of the wardrobe, of combinations that `tiny` has never seen, of all kinds in turn."""

    seed: int = 40_000
    """Of the first garment."""

    steps: int | None = None
    """Steps of every training; as many as its preset says where not given."""

    images: int = 3
    """Images of each prompt, seeds from 0."""

    swaps: int = 2
    """People whose clothes are swapped, each so often as there are images of a prompt."""

    steps_drawn: int = 20
    """Denoising steps of an image."""

    guidance: float = 5.0
    """Classifier-free guidance."""

    gallery: int = 50
    """Garments among which the right one is to be found, half of them near it."""

    text: bool = True
    """Whether printed words are read, which takes the extra `ocr`."""

    output_dir: Path = Path("runs/exams")
    """Takes figures and tables."""

    trials_dir: Path = Path("runs/trials")
    """Takes the garments' photos and the trainings, which every measurement shares."""

    results_dir: Path = Path("runs/trials/results")
    """Takes a small file for each garment and method, from which a stopped run goes on; `docs/benchmark` goes on from
    the published ones."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            UserError: a number that is too small.
        """
        least = {"garments": 1, "images": 1, "swaps": 1, "steps_drawn": 1, "gallery": 2}
        findings = [
            f"--{name} is {getattr(self, name)}; it must be at least {value}"
            for name, value in least.items()
            if getattr(self, name) < value
        ]
        if self.steps is not None and self.steps < 1:
            findings.append(f"--steps is {self.steps}; it must be at least 1")
        if findings:
            raise UserError(*findings)

    @property
    def identity(self) -> dict[str, Any]:
        """What figures depend on beside garment and method."""
        names = ("images", "swaps", "steps_drawn", "guidance", "gallery", "text")
        return {"protocol": PROTOCOL, **{name: getattr(self, name) for name in names}}

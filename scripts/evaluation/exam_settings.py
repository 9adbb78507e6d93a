"""How much of how many garments is drawn, which every measurement that examines trainings has in common."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.stamps import model_stamp
from lapel.base.find_tower import check_tower
from lapel.errors import UserError
from lapel.fidelity.perceptual import is_at_hand

if TYPE_CHECKING:
    from evaluation.methods import Method

PROTOCOL = 2
"""Counts on whenever the same images would measure anything else, for then results that lie on disk are of no use."""


@dataclass
class ExamSettings:
    """How many garments, and how much is drawn of each."""

    garments: int = 20
    """Garments of the wardrobe, of combinations that `tiny` has never seen, of all kinds in turn."""

    seed: int = 40_000
    """Of the first garment."""

    garment_dir: list[Path] = field(default_factory=list)
    """Garment folders of anybody's photos to examine, rather than garments of the wardrobe. One photo of each is held
    out, by which images are measured."""

    base: str = "tiny"
    """The base that is adapted, as the trainers take it; for garments of the wardrobe it is `tiny`."""

    preset: str = ""
    """The preset of LoRA trainings, such as sd15-8gb. Unless given, that of `tiny` on `tiny`, and on another base the
    trainer's defaults."""

    dreambooth_preset: str = ""
    """The same of DreamBooth trainings."""

    tower: str = "tiny"
    """The towers that measure, as a training's `--tower` names them."""

    steps: int | None = None
    """Steps of every training; as many as its preset says where not given."""

    images: int = 3
    """Images of each prompt, seeds from 0."""

    swaps: int = 2
    """People whose clothes are swapped, each so often as there are images of a prompt."""

    steps_drawn: int = 20
    """Denoising steps of an image."""

    batch: int = 12
    """Images drawn at once."""

    guidance: float = 4.0
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
    """Takes a small file for each garment and method, from which a stopped run goes on; in a folder for each way in
    which exams are held. `docs/benchmark` goes on from the published ones."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            UserError: a number that is too small.
        """
        least = {"garments": 1, "images": 1, "swaps": 1, "steps_drawn": 1, "batch": 1, "gallery": 2}
        findings = [
            f"--{name} is {getattr(self, name)}; it must be at least {value}"
            for name, value in least.items()
            if getattr(self, name) < value
        ]
        if self.steps is not None and self.steps < 1:
            findings.append(f"--steps is {self.steps}; it must be at least 1")
        if self.base != "tiny" and not self.garment_dir:
            findings.append(f"--base {self.base}: it does not know drawn garments; give photos by --garment_dir")
        if self.base != "tiny" and self.tower == "tiny":
            findings.append("--tower tiny: it knows drawings only; name another, such as openai/clip-vit-large-patch14")
        if re.search(r"[\s,]", self.base):
            findings.append(f"--base {self.base}: trainings take no path with spaces or commas; give a link to it")
        if findings:
            raise UserError(*findings)
        check_tower(self.tower, "--tower")

    def fitted(self, method: Method) -> Method:
        """The method with trainings on the base by the presets, and of so many steps."""
        if method.training is None:
            return method
        preset = self.preset if method.training.program == "lora" else self.dreambooth_preset
        named = {"steps": self.steps, "config": _placed(preset), "base": _placed(self.base)}
        if self.base == "tiny" and not preset:
            named["base"] = None  # beside a base of its own a trainer takes no preset of `tiny`
        return method.with_settings(*(f"{name}={value}" for name, value in named.items() if value))

    @property
    def identity(self) -> dict[str, Any]:
        """What figures depend on beside garment and method."""
        names = ("images", "swaps", "steps_drawn", "guidance", "gallery", "text")
        told = {name: getattr(self, name) for name in names}
        told |= {"base": model_stamp(self.base), "tower": model_stamp(self.tower)}
        return {"protocol": PROTOCOL, **told, **({"lpips": True} if is_at_hand() else {})}


def _placed(name: str) -> str:
    """A path from wherever a trainer runs, where it is one."""
    return str(Path(name).resolve()) if name and Path(name).exists() else name

"""How much of how many garments is drawn, which every measurement that examines trainings has in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.base.find import TINY_FOLDER
from lapel.errors import UserError
from lapel.files import sha256

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
    """The preset of LoRA trainings on another base, such as sd15-8gb; the trainer's defaults unless given."""

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
        if self.base != "tiny" and not self.garment_dir:
            findings.append(f"--base {self.base}: it does not know drawn garments; give photos by --garment_dir")
        if findings:
            raise UserError(*findings)

    def fitted(self, method: Method) -> Method:
        """The method with trainings on the base, and of so many steps."""
        more = [] if self.steps is None else [f"steps={self.steps}"]
        if self.base != "tiny" and method.training is not None:
            preset = self.preset if method.training.program == "lora" else self.dreambooth_preset
            place = Path(self.base)
            more += [f"config={preset}"] * bool(preset) + [f"base={place.resolve() if place.exists() else place}"]
        return method.with_settings(*more)

    @property
    def identity(self) -> dict[str, Any]:
        """What figures depend on beside garment and method."""
        names = ("images", "swaps", "steps_drawn", "guidance", "gallery", "text")
        base = self.base
        if base == "tiny":
            base = sha256(TINY_FOLDER / "unet" / "diffusion_pytorch_model.safetensors")
        told = {name: getattr(self, name) for name in (*names, "tower")}
        return {"protocol": PROTOCOL, **told, "base": base}

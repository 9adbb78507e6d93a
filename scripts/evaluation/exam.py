"""The exam of one garment: what every way to draw it is asked for, and how its answers are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evaluation.exam_settings import ExamSettings
from evaluation.learning import load_pipeline
from evaluation.methods import TINY, Method, Worn, wear
from evaluation.swap import Swap, paint
from evaluation.trials import Training, garment_folder, train
from evaluation.truth import BACK, SCENES, Truth, Where

if TYPE_CHECKING:
    from PIL import Image

    from lapel.fidelity import ImageTower
    from lapel.wardrobe import Garment


class Drawn(NamedTuple):
    """The answers of a method. Images are in the order of prompts, those of one prompt together."""

    scenes: list[Image.Image]
    back: list[Image.Image]
    of_class: list[Image.Image] | None
    """By the class word alone, at the prompts of `scenes`; None of real photos."""
    swaps: list[list[Image.Image]]


class Exam:
    """A garment that methods are examined on."""

    def __init__(self, garment: Garment, settings: ExamSettings, tower: ImageTower) -> None:
        self.garment, self.settings = garment, settings
        self.photos = garment_folder(garment, settings.trials_dir / "photos")
        """The folder of those that are learned from."""
        self.truth = Truth(garment, settings, tower, self._drawn_of_class)

    def trained(self, training: Training) -> Path:
        """The run folder of a training on the garment's photos."""
        return train(training, self.photos, self.settings.trials_dir)

    def take(self, method: Method, whole: bool) -> tuple[dict[str, Any], Drawn]:
        """Train, draw and measure; without `whole`, the scenes alone."""
        if method.is_real:
            drawn, costs = self._photographed(), {}
        else:
            run = self.trained(method.training) if method.training else None
            worn = wear(method, self.garment, self.photos, run)
            drawn, costs = self._drawn(worn, whole), dict(worn.costs or {})
        figures = {**self.truth.scene_figures(drawn.scenes), **costs}
        if whole:
            figures |= self.truth.further_figures(drawn.back, drawn.of_class, drawn.swaps)
        return figures, drawn

    def _drawn_of_class(self) -> list[Image.Image]:
        return self.draw(load_pipeline(TINY, None), self.garment.kind, SCENES)

    def _drawn(self, worn: Worn, whole: bool) -> Drawn:
        scenes = self.draw(worn.pipeline, worn.words, SCENES, worn.photos)
        if not whole:
            return Drawn(scenes, [], None, [])
        back = self.draw(worn.pipeline, worn.words, BACK, worn.photos)
        of_class = self.draw(worn.pipeline, self.garment.kind, SCENES, worn.unasked)
        return Drawn(scenes, back, of_class, [self._painted(worn, swap) for swap in self.truth.swaps])

    def draw(self, pipeline: Any, words: str, where: Where, photos: Any = None) -> list[Image.Image]:
        """Images of what goes by those words, prompt by prompt."""
        from lapel.generation import Request, generate_together
        from lapel.wardrobe import phrase

        settings = self.settings
        requests = [
            Request(
                phrase(words, *place),
                steps=settings.steps_drawn,
                guidance=settings.guidance,
                images=settings.images,
                batch=12,
            )
            for place in where
        ]
        drawn = generate_together(pipeline, requests, photos=[photos] * len(requests))
        return [image for images in drawn for image in images]

    def _painted(self, worn: Worn, swap: Swap) -> list[Image.Image]:
        from lapel.wardrobe import phrase

        prompt, settings = phrase(worn.words, "worn", swap.scene), self.settings
        how = (prompt, worn.photos, settings.steps_drawn, settings.guidance)
        return [paint(worn.pipeline, swap, *how, seed) for seed in range(settings.images)]

    def _photographed(self) -> Drawn:
        """Other real photos of the same, as many."""
        from PIL import Image

        scenes, back = (
            [Image.fromarray(photo.image) for photo in self.truth.taken(where, 1)] for where in (SCENES, BACK)
        )
        return Drawn(scenes, back, None, [[Image.fromarray(swap.again)] for swap in self.truth.swaps])

"""The exam of one garment: what every way to draw it is asked for, and how its answers are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.exam_settings import ExamSettings
from evaluation.learning import load_pipeline
from evaluation.methods import Method, Worn, wear
from evaluation.swap import Swap, paint
from evaluation.trials import Training, train
from evaluation.truth import BACK, SCENES, Drawn, Where

if TYPE_CHECKING:
    from PIL import Image

    from evaluation.cases import Case
    from lapel.fidelity import ImageTower
    from lapel.generation import PictureSettings


class Exam:
    """A garment that methods are examined on."""

    def __init__(self, case: Case, settings: ExamSettings, tower: ImageTower) -> None:
        self.case, self.settings = case, settings
        self.photos = case.photos(settings.trials_dir / "photos")
        """The folder of those that are learned from."""
        self.truth = case.truth(settings, tower, self._drawn_of_class)

    def trained(self, training: Training) -> Path:
        """The run folder of a training on the garment's photos, which has the device for itself."""
        import torch

        torch.cuda.empty_cache()
        return train(training, self.photos, self.settings.trials_dir)

    def take(self, method: Method, whole: bool) -> tuple[dict[str, Any], Drawn | None]:
        """Train, draw and measure; without `whole`, the scenes alone."""
        if method.is_real:
            return self.truth.real_figures(whole)
        self.truth.of_class  # noqa: B018 - before another base is in memory
        run = self.trained(method.training) if method.training else None
        worn = wear(method, self.case, self.photos, run, self.settings.base)
        drawn = self._drawn(worn, whole)
        return {**self.truth.figures(drawn), **(worn.costs or {})}, drawn

    def _drawn_of_class(self) -> list[Image.Image]:
        return self.draw(load_pipeline({"base": self.settings.base}, None), self.case.class_word, SCENES)

    def _drawn(self, worn: Worn, whole: bool) -> Drawn:
        scenes = self.draw(worn.pipeline, worn.words, SCENES, worn.photos)
        if not whole:
            return Drawn(scenes)
        back = self.draw(worn.pipeline, worn.words, BACK, worn.photos) if self.truth.back else []
        of_class = self.draw(worn.pipeline, self.case.class_word, SCENES, worn.unasked)
        return Drawn(scenes, back, of_class, [self._painted(worn, swap) for swap in self.truth.swaps])

    def draw(self, pipeline: Any, words: str, where: Where, photos: Any = None) -> list[Image.Image]:
        """Images of what goes by those words, prompt by prompt."""
        from lapel.generation import generate_together

        pictures = [self._picture(words, *place) for place in where]
        drawn = generate_together(pipeline, pictures, photos=[photos] * len(pictures))
        return [image for images in drawn for image in images]

    def _painted(self, worn: Worn, swap: Swap) -> list[Image.Image]:
        return paint(worn.base, worn.pipeline, swap, self._picture(worn.words, "worn", swap.scene), worn.photos)

    def _picture(self, words: str, view: str, scene: str) -> PictureSettings:
        from lapel.generation import PictureSettings
        from lapel.wardrobe import phrase

        settings = self.settings
        return PictureSettings(
            phrase(words, view, scene),
            steps=settings.steps_drawn,
            guidance=settings.guidance,
            images=settings.images,
            batch=settings.batch,
        )

"""What is known of a garment of the wardrobe: photos that no method sees, and what images measure by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.exam_settings import ExamSettings
from evaluation.swap import SIZE, Swap, swap_figures, swaps_of, untouched_figures
from evaluation.trials import VIEWS

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from lapel.fidelity import ImageTower, Palette
    from lapel.fidelity.judge import Judge
    from lapel.fidelity.region import Bools
    from lapel.fidelity.score import Marks
    from lapel.wardrobe import Garment, Photograph

Where = tuple[tuple[str, str], ...]
"""View and scene of what is drawn."""

SCENES: Where = (("front", "beach"), ("front", "snow"), ("worn", "park"), ("worn", "street"))
"""No photo of a garment shows one of these scenes."""

BACK: Where = (("back", "white studio"), ("back", "beach"))
"""The view that no photo shows."""


class Truth:
    """A garment, and what is to be known of it.

    Args:
        of_class: gives what the base draws of the class word alone at the prompts of the scenes, image by image.
    """

    def __init__(
        self,
        garment: Garment,
        settings: ExamSettings,
        tower: ImageTower,
        of_class: Callable[[], list[Image.Image]],
    ) -> None:
        self.garment, self.settings, self.tower = garment, settings, tower
        self._draw_class = of_class

    @cached_property
    def of_class(self) -> list[Image.Image]:
        """What the base draws of the class word alone."""
        return self._draw_class()

    def taken(self, where: Where, series: int, each: int | None = None) -> list[Photograph]:
        """Photos of the garment that nobody learns from, `each` of every view and scene."""
        from lapel.wardrobe import photograph, sample_shot

        count = each or self.settings.images
        first = 800_000 + 1000 * series
        return [
            photograph(self.garment, sample_shot(first + 100 * place + number, self.garment, *shown), SIZE)
            for place, shown in enumerate(where)
            for number in range(count)
        ]

    def _judge(self, where: Where) -> Judge:
        from PIL import Image

        from lapel.fidelity.judge import Judge

        rows = [
            {"image": Image.fromarray(photo.image), "mask": Image.fromarray(photo.mask), "mask_trust": 1.0}
            for photo in self.taken(where, 0, each=2)
        ]
        return Judge(rows, self.garment.kind, self.tower)

    @cached_property
    def judge(self) -> Judge:
        """Knows the garment in the scenes asked for."""
        return self._judge(SCENES)

    @cached_property
    def swaps(self) -> list[Swap]:
        """The people whose clothes are swapped."""
        return swaps_of(self.garment, self.settings.swaps)

    @cached_property
    def base_marks(self) -> Marks:
        """The marks of what the base draws of the class word, which tell how well it keeps the prompts."""
        return self.judge.measure(self.of_class, self._prompts(SCENES))

    @cached_property
    def base_backgrounds(self) -> list[Palette]:
        """What is around the garments that the base draws."""
        return self._backgrounds(self.of_class, self.judge.regions(self.of_class, self._prompts(SCENES)))

    @cached_property
    def photo_backgrounds(self) -> list[Palette]:
        """What is around the garment in the photos that are learned from; a detail has no surroundings."""
        from lapel.fidelity.drift import background
        from lapel.wardrobe import photograph, sample_shot

        garment = self.garment
        shots = [
            sample_shot(10 * garment.seed + number, garment, *where)
            for number, where in enumerate(VIEWS)
            if where[0] != "detail"
        ]
        return [background(photo.image, photo.mask >= 128) for photo in (photograph(garment, s, SIZE) for s in shots)]

    @cached_property
    def gallery(self) -> list[torch.Tensor]:
        """Two photos of every garment of the gallery, front and worn, as the tower sees them; the right one first."""
        from lapel.fidelity.gallery import wardrobe_gallery
        from lapel.wardrobe import photograph, sample_shot

        seen = []
        for number, other in enumerate(wardrobe_gallery(self.garment, self.settings.gallery, self.garment.seed)):
            shots = [sample_shot(840_000 + number, other, view) for view in ("front", "worn")]
            photos = [photograph(other, shot, SIZE) for shot in shots]
            masks = [photo.mask >= 128 for photo in photos]
            seen.append(self.tower.embed_regions([photo.image for photo in photos], masks))
        return seen

    def _prompts(self, where: Where) -> list[str]:
        """The prompt of each image by the class word alone."""
        from lapel.wardrobe import phrase

        return [phrase(self.garment.kind, *shown) for shown in where for _ in range(self.settings.images)]

    def scene_marks(self, images: Sequence[Image.Image], regions: Sequence[Bools] | None = None) -> Marks:
        """The marks of images of the scenes."""
        return self.judge.measure(images, self._prompts(SCENES), regions)

    def scene_figures(self, images: Sequence[Image.Image]) -> dict[str, Any]:
        """Score, colour, similarity, scene, retrieval, print and leak of images of the scenes: means over them."""
        from lapel.fidelity.alternatives import Subject, read_right
        from lapel.fidelity.score import score

        regions = self.judge.regions(images, self._prompts(SCENES))
        marks = self.scene_marks(images, regions)
        subjects = [Subject(self.garment, *shown) for shown in SCENES for _ in range(self.settings.images)]
        return {
            "score": score(marks, self.base_marks, len(SCENES)).value,
            **_means(marks),
            "scene": float(np.mean(read_right(self.tower, images, subjects, "scene"))),
            "retrieval": self._found(images, regions),
            "text": self._misread(images, regions),
            "leak": self._leak(images, regions),
        }

    def further_figures(
        self,
        back: Sequence[Image.Image],
        of_class: Sequence[Image.Image] | None,
        swaps: Sequence[Sequence[Image.Image]],
    ) -> dict[str, Any]:
        """Of the view that no photo shows, of the class word's drift (None: nothing to say), and of the swaps."""
        from lapel.fidelity.drift import class_drift

        behind = _means(self._judge(BACK).measure(back, self._prompts(BACK)))
        drift = None if of_class is None else class_drift(self.tower, self.of_class, of_class)
        return {
            **swap_figures(self.swaps, swaps),
            **untouched_figures(self.swaps),
            **{f"back_{name}": behind[name] for name in ("colour", "structure", "identity")},
            "drift": drift,
        }

    def _found(self, images: Sequence[Image.Image], regions: Sequence[Bools]) -> float:
        """The share of images whose garment is nearest to the right one of the gallery."""
        import torch

        from lapel.fidelity.gallery import retrieval_rank

        seen = self.tower.embed_regions([np.asarray(image) for image in images], regions)
        near = torch.stack([(seen @ other.T).amax(dim=1) for other in self.gallery], dim=1)
        return float(np.mean([retrieval_rank(row, 0) == 1 for row in near]))

    def _misread(self, images: Sequence[Image.Image], regions: Sequence[Bools]) -> float | None:
        """The character error rate of the printed word; None where there is none, or none is to be read."""
        from lapel.fidelity.lettering import TextReader, character_error_rate
        from lapel.wardrobe.vocabulary import PRINT_WORDS

        if not self.settings.text or self.garment.print not in PRINT_WORDS:
            return None
        reader = TextReader()
        read = [reader.read(np.asarray(image), region) for image, region in zip(images, regions, strict=True)]
        return float(np.mean([character_error_rate(text, self.garment.print) for text in read]))

    def _leak(self, images: Sequence[Image.Image], regions: Sequence[Bools]) -> float:
        """How far the photos' backgrounds have come into scenes that are others."""
        from lapel.fidelity.drift import background_leak

        pairs = zip(self._backgrounds(images, regions), self.base_backgrounds, strict=True)
        return float(np.mean([background_leak(own, base, self.photo_backgrounds) for own, base in pairs]))

    @staticmethod
    def _backgrounds(images: Sequence[Image.Image], regions: Sequence[Bools]) -> list[Palette]:
        from lapel.fidelity.drift import background

        return [background(np.asarray(image), region) for image, region in zip(images, regions, strict=True)]


def _means(marks: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in marks.items()}

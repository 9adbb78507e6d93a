"""What is known of a garment that no method learns from, and what images measure by it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evaluation.exam_settings import ExamSettings
from evaluation.swap import SIZE, Swap, swap_figures, swaps_of, untouched_figures
from evaluation.trials import VIEWS

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from evaluation.cases import Case, DrawnCase, OfClass
    from lapel.fidelity import ImageTower, Palette
    from lapel.fidelity.judge import Judge
    from lapel.fidelity.region import Bools
    from lapel.fidelity.score import Marks
    from lapel.wardrobe import Photograph

Where = tuple[tuple[str, str], ...]
"""View and scene of what is drawn."""

SCENES: Where = (("front", "beach"), ("front", "snow"), ("worn", "park"), ("worn", "street"))
"""No photo of a wardrobe garment shows one of these scenes."""

BACK: Where = (("back", "white studio"), ("back", "beach"))
"""The view that no photo of a wardrobe garment shows."""


class Drawn(NamedTuple):
    """The answers of a method. Images are in the order of prompts, those of one prompt together."""

    scenes: Sequence[Image.Image]
    back: Sequence[Image.Image] = ()
    of_class: Sequence[Image.Image] = ()
    """By the class word alone, at the prompts of `scenes`."""
    swaps: Sequence[Sequence[Image.Image]] = ()


class Around(NamedTuple):
    """What is around the garment in images."""

    backgrounds: list[Palette]
    people: list[Palette]
    """Of the images in which somebody wears it."""


def around(images: Sequence[Image.Image], regions: Sequence[Bools], views: Sequence[str]) -> Around:
    """What is around the garment's region (h, w) in each image, of which the view is known; details show nothing."""
    from lapel.fidelity.drift import background, person

    shown = [(np.asarray(image.convert("RGB")), region) for image, region in zip(images, regions, strict=True)]
    whole = [one for one, view in zip(shown, views, strict=True) if view != "detail"]
    worn = [one for one, view in zip(shown, views, strict=True) if view == "worn"]
    return Around([background(*one) for one in whole], [person(*one) for one in worn])


class Truth(ABC):
    """What is known of a garment, and what images measure by it.

    Args:
        of_class: gives what the base draws of the class word alone at the prompts of the scenes, image by image.
    """

    def __init__(self, case: Case, settings: ExamSettings, tower: ImageTower, of_class: OfClass) -> None:
        self.class_word, self.printed = case.class_word, case.printed
        self.settings, self.tower, self._draw_class = settings, tower, of_class

    @property
    def described(self) -> str:
        """The garment in a prompt's words, by which scenes are told apart."""
        return self.class_word

    @property
    @abstractmethod
    def judge(self) -> Judge:
        """Knows the garment by photos that nobody learns from."""

    @property
    @abstractmethod
    def learned(self) -> Around:
        """What is around the garment in the photos that are learned from."""

    @property
    @abstractmethod
    def gallery(self) -> list[torch.Tensor]:
        """Photos of each garment of the gallery, as the tower sees them, the right one's first; none without others."""

    @property
    def back(self) -> Judge | None:
        """Knows the garment's back, where methods are asked for it."""
        return None

    @property
    def swaps(self) -> Sequence[Swap]:
        """The people whose clothes are swapped."""
        return ()

    @abstractmethod
    def real_figures(self, whole: bool) -> tuple[dict[str, Any], Drawn | None]:
        """What other real photos of the garment measure, and these, where they are as many as methods draw."""

    @cached_property
    def of_class(self) -> list[Image.Image]:
        """What the base draws of the class word alone."""
        return self._draw_class()

    @cached_property
    def base_marks(self) -> Marks:
        """The marks of what the base draws of the class word, which tell how well it keeps the prompts."""
        return self.judge.measure(self.of_class, self._prompts(SCENES))

    @cached_property
    def by_base(self) -> Around:
        """What is around the garments that the base draws."""
        return self._around(self.of_class, self.judge.regions(self.of_class, self._prompts(SCENES)))

    def score_of(self, images: Sequence[Image.Image], regions: Sequence[Bools] | None = None) -> tuple[float, Marks]:
        """The score of images of the scenes, and their marks."""
        from lapel.fidelity.score import score

        marks = self.judge.measure(images, self._prompts(SCENES), regions)
        return score(marks, self.base_marks, len(SCENES)).value, marks

    def _scene_figures(self, images: Sequence[Image.Image]) -> dict[str, Any]:
        """Score, colour, similarity, scene, retrieval, print and leaks of images of the scenes: means over them."""
        regions = self.judge.regions(images, self._prompts(SCENES))
        score, marks = self.score_of(images, regions)
        return {
            "score": score,
            **means(marks),
            "scene": self._scene_right(images),
            "retrieval": self._found(images, regions),
            "text": self._misread(images, regions),
            **self._leaks(images, regions),
        }

    def figures(self, drawn: Drawn) -> dict[str, Any]:
        """What was drawn measures."""
        from lapel.fidelity.drift import class_drift

        figures = self._scene_figures(drawn.scenes)
        if drawn.back and self.back is not None:
            behind = means(self.back.measure(drawn.back, self._prompts(BACK)))
            figures |= {f"back_{name}": behind[name] for name in ("colour", "structure", "identity")}
        if drawn.swaps:
            figures |= {**swap_figures(self.swaps, drawn.swaps), **untouched_figures(self.swaps)}
        if drawn.of_class:
            figures["drift"] = class_drift(self.tower, self.of_class, drawn.of_class)
        return figures

    def _prompts(self, where: Where) -> list[str]:
        """The prompt of each image by the class word alone."""
        from lapel.wardrobe import phrase

        return [phrase(self.class_word, *shown) for shown in where for _ in range(self.settings.images)]

    def _scene_right(self, images: Sequence[Image.Image]) -> float:
        """The share of images whose scene the towers read right, among all scenes of the wardrobe."""
        from lapel.wardrobe import SCENES as ALL
        from lapel.wardrobe import phrase

        own_first = [
            (view, dict.fromkeys((scene, *ALL))) for view, scene in SCENES for _ in range(self.settings.images)
        ]
        choices = [[phrase(self.described, view, scene) for scene in scenes] for view, scenes in own_first]
        return float(np.mean([choice == 0 for choice in self.tower.zero_shot(images, choices)]))

    def _found(self, images: Sequence[Image.Image], regions: Sequence[Bools]) -> float | None:
        """The share of images whose garment is nearest to the right one of the gallery."""
        import torch

        from lapel.fidelity.gallery import retrieval_rank

        if not self.gallery:
            return None
        seen = self.tower.embed_regions([np.asarray(image) for image in images], regions)
        near = torch.stack([(seen @ other.T).amax(dim=1) for other in self.gallery], dim=1)
        return float(np.mean([retrieval_rank(row, 0) == 1 for row in near]))

    def _misread(self, images: Sequence[Image.Image], regions: Sequence[Bools]) -> float | None:
        """The character error rate of the printed word; None where there is none, or none is to be read."""
        from lapel.fidelity.lettering import TextReader, character_error_rate

        if not self.settings.text or self.printed is None:
            return None
        reader = TextReader()
        read = [reader.read(np.asarray(image), region) for image, region in zip(images, regions, strict=True)]
        return float(np.mean([character_error_rate(text, self.printed) for text in read]))

    def _leaks(self, images: Sequence[Image.Image], regions: Sequence[Bools]) -> dict[str, float | None]:
        """How far the photos' backgrounds, and who wears the garment in them, have come into scenes that are others."""
        from lapel.fidelity.drift import leak

        leaks: dict[str, float | None] = {}
        for name, own, by_base, photos in zip(
            ("leak", "person"), self._around(images, regions), self.by_base, self.learned, strict=True
        ):
            pairs = zip(own, by_base, strict=True)
            leaks[name] = float(np.mean([leak(*pair, photos) for pair in pairs])) if photos else None
        return leaks

    def _around(self, images: Sequence[Image.Image], regions: Sequence[Bools]) -> Around:
        return around(images, regions, [view for view, _ in SCENES for _ in range(self.settings.images)])


def means(marks: Mapping[str, Any]) -> dict[str, float]:
    """Of each measure, over the images."""
    return {name: float(values.mean()) for name, values in marks.items()}


class DrawnTruth(Truth):
    """Of a garment of the wardrobe, of which there are as many photos as wanted, with exact masks."""

    def __init__(self, case: DrawnCase, settings: ExamSettings, tower: ImageTower, of_class: OfClass) -> None:
        super().__init__(case, settings, tower, of_class)
        self.garment = case.garment

    @property
    def described(self) -> str:
        """Its looks and kind."""
        return f"{self.garment.looks()} {self.garment.kind}"

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

    def real_figures(self, whole: bool) -> tuple[dict[str, Any], Drawn | None]:
        """As many photos as a method draws."""
        from PIL import Image

        scenes, back = ([Image.fromarray(photo.image) for photo in self.taken(where, 1)] for where in (SCENES, BACK))
        swaps = [[Image.fromarray(swap.again)] for swap in self.swaps] if whole else []
        drawn = Drawn(scenes, back if whole else [], swaps=swaps)
        return self.figures(drawn), drawn

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
    def back(self) -> Judge:
        """Knows the garment from behind."""
        return self._judge(BACK)

    @cached_property
    def swaps(self) -> list[Swap]:
        """The people whose clothes are swapped."""
        return swaps_of(self.garment, self.settings.swaps)

    @cached_property
    def learned(self) -> Around:
        """What is around the garment in the photos that are learned from."""
        from PIL import Image

        from lapel.wardrobe import photograph, sample_shot

        first, garment = 10 * self.garment.seed, self.garment
        shots = [sample_shot(first + number, garment, *where) for number, where in enumerate(VIEWS)]
        photos = [photograph(garment, shot, SIZE) for shot in shots]
        images, masks = [Image.fromarray(photo.image) for photo in photos], [photo.mask >= 128 for photo in photos]
        return around(images, masks, [view for view, _ in VIEWS])

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

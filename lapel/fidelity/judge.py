"""Measures generated images of a garment against photos of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lapel.fidelity.colour import colour_difference, dominant_colours
from lapel.fidelity.prompt import prompt_margins
from lapel.fidelity.region import garment_region, without_garment
from lapel.fidelity.score import Marks
from lapel.fidelity.structure import structure, structure_difference
from lapel.photos.captions import view_of

if TYPE_CHECKING:
    from PIL import Image

    from lapel.fidelity.identity import ImageTower
    from lapel.fidelity.region import Bools


class Judge:
    """Knows the garment by its photos, and gives generated images their marks.

    Args:
        photos: rows with `image` (PIL RGB), `mask` (PIL L) and `mask_trust`, as `lapel.photos.read_garment` gives them.
        class_word: tells where in an image the garment is to be expected.
        tower: tells identity and, where it knows words, reads prompts; without one, colour and structure are all
            that is measured.
    """

    def __init__(self, photos: Sequence[Mapping[str, Any]], class_word: str, tower: ImageTower | None) -> None:
        self.class_word, self.tower = class_word, tower
        known = [(np.asarray(row["image"].convert("RGB")), sure_mask(row["mask"], row["mask_trust"])) for row in photos]
        self.count = len(known)
        """Photos that it goes by."""
        self.palette = dominant_colours([image for image, _ in known], [mask for _, mask in known])
        self.structures = [structure(image, mask) for image, mask in known]
        self.seen = tower.embed_regions(*zip(*known, strict=True)) if tower else None

    def regions(self, images: Sequence[Image.Image], prompts: Sequence[str]) -> list[Bools]:
        """Where the garment is found in each image (h, w), by the view that its prompt names."""
        pairs = zip(images, prompts, strict=True)
        return [
            garment_region(np.asarray(image.convert("RGB")), self.class_word, view_of(prompt))
            for image, prompt in pairs
        ]

    def measure(
        self, images: Sequence[Image.Image], prompts: Sequence[str], regions: Sequence[Bools] | None = None
    ) -> Marks:
        """The marks of images, each of its prompt, in which the class word stands without the trigger.

        Args:
            regions: of the garment in each image; as `self.regions` finds them unless given.
        """
        from PIL import Image

        arrays = [np.asarray(image.convert("RGB")) for image in images]
        where = self.regions(images, prompts) if regions is None else regions
        found = list(zip(arrays, where, strict=True))
        palettes = [dominant_colours([image], [region]) for image, region in found]
        marks = {
            "colour": [colour_difference(palette, self.palette).mean for palette in palettes],
            "structure": [structure_difference(structure(*one), self.structures) for one in found],
        }
        if self.tower is not None and self.seen is not None:
            marks["identity"] = (self.tower.embed_regions(arrays, where) @ self.seen.T).amax(dim=1).tolist()
            if self.tower.reads and len(set(prompts)) > 1:
                bare = [Image.fromarray(without_garment(*one)) for one in found]
                marks["margin"] = prompt_margins(self.tower, bare, prompts).tolist()
        return {name: np.array(values) for name, values in marks.items()}


def sure_mask(mask: Image.Image, trust: float) -> Bools:
    """What a photo's mask takes for the garment (h, w), also where `Mask.for_training` has softened it."""
    from lapel.photos.masks import TRUSTED

    values = np.asarray(mask)
    inside: Bools = values >= (128 if trust >= TRUSTED else 255 - 127 * trust)
    return inside if inside.any() else np.ones_like(inside)

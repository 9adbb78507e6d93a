"""Readers of photos (`lapel.photos.reading.Reader`): pairs of towers, loaded on demand.

FashionSigLIP, FashionCLIP and their like were taught on clothes: `hf-hub:Marqo/marqo-fashionSigLIP`, by open_clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lapel.fidelity.identity import ImageTower
from lapel.photos.reading import Reader, all_attributes
from lapel.photos.vocabulary import ATTRIBUTES
from lapel.wardrobe import PATTERNS, SCENES, VIEWS

if TYPE_CHECKING:
    import torch
    from PIL import Image


def load_reader(name: str | None) -> Reader | None:
    """The reader of that name, as an `ImageTower` takes it, or none for None.

    Raises:
        UserError: no such model, one that knows no words, or its weights are neither at hand nor to be had.
    """
    return None if name is None else TowerReader(load_towers(name))


def load_towers(name: str) -> ImageTower:
    """The towers of a reader of that name, which embed pictures and texts too; raises as `load_reader` does."""
    return ImageTower(name, flag="--reader", wants_text=True)


class TowerReader:
    """A pair of towers. Those of `tiny` know no words but the wardrobe's."""

    scenes = SCENES

    def __init__(self, tower: ImageTower) -> None:
        self.tower, self.name, self.fingerprint = tower, tower.name, tower.fingerprint
        self.views: Sequence[str] = ("front", "back", "side", "detail", "worn")
        self.attributes: Mapping[str, Sequence[str]] = all_attributes()
        if tower.name == "tiny":
            self.views = VIEWS
            self.attributes = {"pattern": [pattern for pattern in PATTERNS if pattern in ATTRIBUTES["pattern"]]}
        self._texts: dict[tuple[str, ...], torch.Tensor] = {}

    def probabilities(self, picture: Image.Image, texts: Sequence[str]) -> list[float]:
        """As `Reader.probabilities`."""
        known = self._texts.get(tuple(texts))
        if known is None:  # the same are asked of every photo
            known = self._texts[tuple(texts)] = self.tower.embed_texts(texts)
        likeness = self.tower.embed_images([picture]) @ known.T
        shares: list[float] = (self.tower.scale * likeness[0]).softmax(dim=-1).tolist()
        return shares

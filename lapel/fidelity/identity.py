"""Identity and meaning of images as a CLIP pair of towers reads them (arXiv:2103.00020), or an image tower alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.errors import UserError
from lapel.fidelity.towers import load_tower_model

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from PIL import Image

BATCH = 64
"""Images or texts embedded at once."""


class ImageTower:
    """An image tower and, where `reads`, the text tower that it was trained with, on one unit sphere."""

    def __init__(self, name: str | Path, device: str = "cpu", flag: str = "--tower", wants_text: bool = False) -> None:
        """Load the model of that name: `tiny`, transformers', open_clip's, or a base's (`lapel.base.find_tower`).

        Args:
            flag: where the name was given.
            wants_text: refuse a model that knows no words.

        Raises:
            UserError: there is no such model, it is of another kind, or it cannot be read or downloaded.
        """
        from PIL import Image

        self.name, self.device = str(name), device
        self._model = load_tower_model(self.name, device, flag)
        if wants_text and not self.reads:
            raise UserError(f"{name}: knows no words; give {flag} a model with a text tower, such as CLIP's")
        self.side = int(self._model.prepare([Image.new("RGB", (8, 8))]).shape[-1])
        """Pixels of a side of what the tower sees."""
        self.scale = self._model.scale
        """By which the cosines of an image to texts become logits."""

    @property
    def reads(self) -> bool:
        """Whether there is a text tower."""
        return self._model.read is not None

    @cached_property
    def fingerprint(self) -> str:
        """Names the model and its weights."""
        from lapel.base.weights import tensors_hash

        return f"{self.name} {tensors_hash(self._model.weights)}"

    def embed_images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Unit vectors (n, d) of n RGB images of any size; what lies outside the centre square is not seen."""
        model = self._model
        return _embedded(images, lambda some: model.see(model.prepare(some).to(self.device)))

    def embed_regions(
        self, images: Sequence[npt.NDArray[np.uint8]], regions: Sequence[npt.NDArray[np.bool_]]
    ) -> torch.Tensor:
        """Unit vectors (n, d) of regions (h, w) of n sRGB images (h, w, 3) alone, on grey."""
        from PIL import Image

        from lapel.fidelity.region import cut_out

        alone = (cut_out(image, region, self.side) for image, region in zip(images, regions, strict=True))
        return self.embed_images([Image.fromarray(picture) for picture in alone])

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors (n, d) of n texts; tokens beyond as many as the tower takes, 77 of CLIP's, are cut off.

        Raises:
            ValueError: there is no text tower.
        """
        if self._model.read is None:
            raise ValueError(f"{self.name} knows no words")
        return _embedded(texts, self._model.read)

    def similarity(self, images: Sequence[Image.Image], references: Sequence[Image.Image]) -> torch.Tensor:
        """Cosine similarities (n, m) of n images to m reference images, in -1..1; 1 is the same to the tower."""
        return self.embed_images(images) @ self.embed_images(references).T

    def zero_shot(self, images: Sequence[Image.Image], alternatives: Sequence[Sequence[str]]) -> list[int]:
        """For each image, the index of the text among its own `alternatives` that the towers find nearest.

        Raises:
            ValueError: not one list of alternatives for each image.
        """
        if len(images) != len(alternatives):
            raise ValueError(f"{len(images)} images, but {len(alternatives)} lists of alternatives")
        distinct = {text: row for row, text in enumerate(dict.fromkeys(t for texts in alternatives for t in texts))}
        texts = self.embed_texts(list(distinct))
        choices = []
        for embedding, own in zip(self.embed_images(images), alternatives, strict=True):
            choices.append(int((texts[[distinct[text] for text in own]] @ embedding).argmax()))
        return choices


def _embedded(items: Sequence[Any], embed: Callable[[Sequence[Any]], torch.Tensor]) -> torch.Tensor:
    """Unit vectors (n, d) of n images or texts, a batch at a time."""
    import torch

    with torch.inference_mode():
        parts = [embed(items[start : start + BATCH]) for start in range(0, len(items), BATCH)]
    return torch.nn.functional.normalize(torch.cat(parts), dim=-1)

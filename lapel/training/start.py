"""An adapter that starts from a garment encoder: the base wears it, shown the garment, and the adapter learns what it
misses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from lapel.adapters.encoder import inject_encoder
from lapel.adapters.ip_adapter import read_encoder, start_encoder
from lapel.base.base import Base
from lapel.base.image_tower import load_tower
from lapel.files import sha256
from lapel.generation import GarmentPhotos
from lapel.generation.shown import see_cutouts
from lapel.photos.cutout import cut_out
from lapel.training.predict import Predict

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Start:
    """A garment encoder in a base, and what it is shown."""

    encoder: str
    """As it was asked for: `tiny` or a path."""
    hash: str
    """SHA-256 of its file."""
    photo: str
    """The file of the photo that it is shown."""
    shown: GarmentPhotos

    def predict(self, predict: Predict, named: int) -> Predict:
        """`predict` with the photo, but without it where the caption is none of the first `named`."""

        def with_photo(noised: Tensor, timesteps: Tensor, captions: Tensor, features: Tensor | None = None) -> Tensor:
            seen = self.shown.features.repeat(len(captions), *[1] * (self.shown.features.dim() - 1))
            seen[captions.cpu() >= named] = self.shown.nothing
            return predict(noised, timesteps, captions, seen.to(noised.device) if features is None else features)

        return with_photo

    def predict_unseen(self, predict: Predict) -> Predict:
        """`predict` without a photo, as the base itself predicts."""

        def without_photo(
            noised: Tensor, timesteps: Tensor, captions: Tensor, features: Tensor | None = None
        ) -> Tensor:
            nothing = self.shown.nothing.expand(len(captions), *self.shown.features.shape[1:])
            return predict(noised, timesteps, captions, nothing.to(noised.device))

        return without_photo

    @property
    def identity(self) -> dict[str, str]:
        """For checkpoints: what a run that resumes must start from too."""
        return {"encoder": f"{self.hash[:12]} of {self.photo}"}

    @property
    def facts(self) -> dict[str, Any]:
        """For the card: the adapter is to be worn together with this."""
        return {"encoder": {"name": self.encoder, "hash": self.hash, "photo": self.photo}}


def start_from(encoder: Path, base: Base, photos: Dataset) -> Start:
    """Put a garment encoder into the base, frozen, and show it the first photo that shows the garment whole.

    Args:
        photos: those that are learned from, of a `GarmentFolder`.

    Raises:
        UserError: no garment encoder, or one for another base or image tower.
    """
    file = read_encoder(encoder)
    tower = load_tower(file.metadata.get("lapel_image_tower"), base, base.device)
    row = next((row for row, view in enumerate(photos["view"]) if view != "detail"), 0)
    shown = see_cutouts(tower, [cut_out(photos[row]["image"], photos[row]["mask"])], file.form == "plus")
    file.require_tower(tower.name, shown.nothing.shape[-1])
    inject_encoder(base, file.form, file.width)
    start_encoder(base, file, file.form, file.width)
    # In the base's precision, as front ends wear it.
    base.unet.to(base.dtype).requires_grad_(False)
    return Start(str(encoder), sha256(file.path), photos[row]["file"], shown)

"""The models that a program may bring along to the intake; by itself it needs none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lapel.photos.masks.models import MaskModel
    from lapel.photos.reading import Reader


@dataclass(frozen=True)
class Models:
    """As `--reader` and `--mask_model` name them; `lapel.fidelity.models.load_models` loads them."""

    reader: Reader | None = None
    masks: MaskModel | None = None

    @property
    def fingerprint(self) -> str:
        """Names what they are, so that nothing that others made is read from a cache."""
        return " ".join(model.fingerprint if model else "none" for model in (self.reader, self.masks))


NO_MODELS = Models()

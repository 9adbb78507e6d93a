"""The models of the intake, by the names that the photos' settings give them."""

from __future__ import annotations

from lapel.fidelity.mask_models import load_mask_model
from lapel.fidelity.readers import load_reader
from lapel.photos import PhotoSettings
from lapel.photos.models import Models


def load_models(settings: PhotoSettings) -> Models:
    """What `--reader` and `--mask_model` ask for, and nothing else.

    Raises:
        UserError: one of them cannot be loaded.
    """
    return Models(load_reader(settings.reader), load_mask_model(settings.mask_model))

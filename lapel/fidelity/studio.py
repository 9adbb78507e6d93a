"""A studio with everything in it: the models that find masks, and what puts drawn garments right."""

from __future__ import annotations

from lapel.generation.studio import Studio


def open_studio() -> Studio:
    """Where the programs carry out their requests."""
    from lapel.fidelity.mask_models import load_mask_model
    from lapel.fidelity.retouch import Retouch

    return Studio(load_mask_model, Retouch)

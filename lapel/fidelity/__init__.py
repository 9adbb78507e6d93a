"""How truly generated images show the garment, measured: colour, identity, and where in an image the garment is."""

from __future__ import annotations

from lapel.fidelity.colour import colour_difference, median_lab
from lapel.fidelity.identity import ImageTower
from lapel.fidelity.region import garment_region

__all__ = ["ImageTower", "colour_difference", "garment_region", "median_lab"]

"""How truly generated images show the garment, measured: colour, identity, and where in an image the garment is."""

from __future__ import annotations

from lapel.fidelity.colour import ColourDifference, Palette, colour_difference, dominant_colours
from lapel.fidelity.identity import ImageTower
from lapel.fidelity.region import garment_region

__all__ = [
    "ColourDifference",
    "ImageTower",
    "Palette",
    "colour_difference",
    "dominant_colours",
    "garment_region",
]

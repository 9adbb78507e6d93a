"""How truly generated images show the garment, measured; docs/measures.md has every measure's definition and range."""

from __future__ import annotations

from lapel.fidelity.colour import ColourDifference, Palette, colour_difference, dominant_colours
from lapel.fidelity.identity import ImageTower
from lapel.fidelity.region import cut_out, garment_region, without_garment
from lapel.fidelity.structure import Structure, structure, structure_difference

__all__ = [
    "ColourDifference",
    "ImageTower",
    "Palette",
    "Structure",
    "colour_difference",
    "cut_out",
    "dominant_colours",
    "garment_region",
    "structure",
    "structure_difference",
    "without_garment",
]

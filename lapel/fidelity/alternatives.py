"""What an image shows, read as a choice: the caption's own words against every other word of the wardrobe."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lapel.wardrobe import COLOURS, KINDS, PATTERNS, SCENES, Garment, phrase
from lapel.wardrobe.vocabulary import PATTERN_COLOURS

if TYPE_CHECKING:
    from PIL import Image

    from lapel.fidelity.identity import ImageTower

ATTRIBUTES = ("kind", "main colour", "pattern", "scene")


@dataclass(frozen=True)
class Subject:
    """What an image ought to show."""

    garment: Garment
    view: str
    scene: str

    def caption(self) -> str:
        """The plain caption with colours, pattern, kind, view and scene."""
        return phrase(f"{self.garment.looks()} {self.garment.kind}", self.view, self.scene)

    def alternatives(self, attribute: str) -> list[str]:
        """The caption with every value that `attribute` (of `ATTRIBUTES`) can have, its own value's first."""
        garment = self.garment
        if attribute == "scene":
            changed = [dataclasses.replace(self, scene=scene) for scene in SCENES]
        elif attribute == "kind":
            changed = [self._with(dataclasses.replace(garment, kind=kind)) for kind in KINDS]
        elif attribute == "main colour":
            others = garment.colours[1:]
            free = [colour for colour in COLOURS if colour not in others]
            changed = [self._with(dataclasses.replace(garment, colours=(colour, *others))) for colour in free]
        else:
            changed = [self._with(_patterned(garment, pattern)) for pattern in PATTERNS]
        return list(dict.fromkeys([self.caption(), *(subject.caption() for subject in changed)]))

    def _with(self, garment: Garment) -> Subject:
        return dataclasses.replace(self, garment=garment)


def _patterned(garment: Garment, pattern: str) -> Garment:
    """The garment in another pattern: as many of its colours as that takes, filled up with colours it has not."""
    filling = [colour for colour in ("white", "black", "grey") if colour not in garment.colours]
    colours = (*garment.colours, *filling)[: PATTERN_COLOURS.get(pattern, 2)]
    return dataclasses.replace(garment, pattern=pattern, colours=colours)


def read_right(
    tower: ImageTower, images: Sequence[Image.Image], subjects: Sequence[Subject], attribute: str
) -> list[bool]:
    """For each image, whether the towers find the caption of its subject nearer than that of every alternative."""
    choices = tower.zero_shot(images, [subject.alternatives(attribute) for subject in subjects])
    return [choice == 0 for choice in choices]

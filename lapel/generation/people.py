"""Who wears the garment and where: the words of a look-book, and every combination of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lapel.errors import UserError
from lapel.wardrobe import with_article


@dataclass
class PeopleSettings:
    """People, places, framings and poses; of each list every word is combined with every word of the others."""

    gender: list[str] = field(default_factory=lambda: ["person"])
    """Such as `woman`, `man` or `person`."""

    age: list[str] = field(default_factory=list)
    """Such as `young` or `elderly`."""

    build: list[str] = field(default_factory=list)
    """Such as `slim` or `tall`."""

    skin: list[str] = field(default_factory=list)
    """Such as `dark` or `light`."""

    hair: list[str] = field(default_factory=list)
    """Such as `long red` or `short black`."""

    scene: list[str] = field(default_factory=list)
    """Such as `at the beach` or `in a white studio`."""

    framing: list[str] = field(default_factory=list)
    """How much of the person is seen, such as `full body`, `half body` or `close-up`."""

    pose: list[Path] = field(default_factory=list)
    """OpenPose's .json files or skeletons in its colours, poses of the library such as `pose:standing@half`, or those
    of people in photos (`pose:IMAGE`, by --pose_model). A ControlNet keeps to them."""

    def __post_init__(self) -> None:
        """Somebody must be there.

        Raises:
            UserError: no gender.
        """
        if not self.gender:
            raise UserError("gender is empty; `person` says nothing of it")

    def looks(self) -> Iterator[str]:
        """What follows `a photo of`, up to the garment: `a young woman with dark skin and long red hair`."""
        lists = (self.age, self.build, self.gender, self.skin, self.hair)
        for age, build, gender, skin, hair in itertools.product(*(words or [""] for words in lists)):
            who = " ".join(word for word in (age, build, gender) if word)
            what = [f"{skin} skin" if skin else "", f"{hair} hair" if hair else ""]
            having = " and ".join(word for word in what if word)
            yield with_article(who) + (f" with {having}" if having else "")

    def prompts(self, garment: str) -> list[str]:
        """A prompt for each person in each place and framing, wearing what goes by that name."""
        lists = ([*self.looks()], self.scene or [""], self.framing or [""])
        return [
            f"{with_article(f'{framing} photo'.strip())} of {look} wearing {garment}" + (f", {place}" if place else "")
            for look, place, framing in itertools.product(*lists)
        ]

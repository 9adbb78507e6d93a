"""People who wear the garment: how it comes into their picture, and where its own pixels are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lapel.generation.keep import Placed
    from lapel.photos.people.looks import Worn
    from lapel.photos.people.pose import Pose


@dataclass
class DressSettings:
    """How the garment comes into the picture."""

    keep: Path | None = None
    """A photo of the garment, laid flat, whose own pixels are kept: the person is drawn around them."""

    place: tuple[float, float, float] | None = None
    """Of the kept garment: x and y of its middle, and its width, as shares of the picture. Unless given, as the pose
    wears it."""

    garment_words: str = ""
    """What the garment is, in words such as "t-shirt, short sleeve", where its card does not tell."""

    texture: str = ""
    """Words of texture for the prompts, such as "plaid" or "red plaid shirt, denim skirt"."""

    pose_control: str = ""
    """The ControlNet that poses are shown to, such as `tiny` or a hub id; with `--shape`, on a parsing map of a person
    who wears that, which it must have been trained for, as `tiny` was."""


def put_down(settings: DressSettings, worn: Worn, size: tuple[int, int], pose: Pose | None) -> Placed:
    """The kept garment on its canvas of that size (width, height): where the user says, or as the pose wears it.

    Raises:
        UserError: a photo that cannot be read, or nothing of the garment would be seen.
    """
    from lapel.generation.keep import place, where_worn
    from lapel.generation.shown import garment_in
    from lapel.photos.people.library import library_pose

    assert settings.keep is not None
    photo, mask = garment_in(settings.keep, worn.class_word)
    # Clothes that lie flat hold their sleeves as this pose does.
    held = pose or library_pose("a-pose@half", size)
    return place(photo, mask, size, settings.place or where_worn(mask, worn.shape, held))

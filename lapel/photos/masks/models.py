"""Models that find masks, as a program brings them along: this room knows only what they are asked and answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lapel.photos.masks import Mask
from lapel.photos.masks.separate import separate

if TYPE_CHECKING:
    from PIL import Image


class MaskModel(Protocol):
    """A model by name, such as `rembg:u2net`; `fingerprint` names its weights.

    `finds_figure` says that it finds all that stands before the background, and not the garment alone.
    """

    name: str
    fingerprint: str
    finds_figure: bool

    def find(self, photo: Image.Image, class_word: str, guess: Mask) -> tuple[Image.Image, float] | None:
        """The mask in an RGB photo (mode L, the photo's size) and the model's trust in it, 0 to 1; None for nothing.

        `guess` is what was found without it, which may point it to the garment.
        """
        ...


def mask_by(model: MaskModel, photo: Image.Image, class_word: str, view: str) -> Mask:
    """The mask by a model, or what is found without it where the model finds nothing.

    A figure that a model found is told apart into garment and wearer as one on a plain background is.
    """
    guess = separate(photo, class_word, view)
    found = model.find(photo, class_word, guess)
    if found is None or found[0].point(lambda value: 255 * (value >= 128)).getbbox() is None:
        return guess
    image, trust = found
    if not model.finds_figure:
        return Mask(image, model.name, trust, guess.worn, guess.figure)
    within = separate(photo, class_word, view, image)
    if within.source == "none":
        return within
    garment = within.image if within.worn else image
    return Mask(garment, model.name, min(trust, within.trust), within.worn, within.figure)

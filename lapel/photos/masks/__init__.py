"""Where the garment is in a photo: one mask from the surest source there is, and how far it is to be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

    from lapel.photos.masks.models import MaskModel
    from lapel.photos.read import Picture

TRUSTED = 0.85
"""A mask of less trust is used softly. It is the overlap with the truth that worn photos should reach."""


@dataclass(frozen=True)
class Mask:
    """The garment's share of each pixel: `image` has mode L and the photo's size, 255 for all of it.

    `source` is "file", "alpha", a model's name, "background" (what stands on a plain background), "worn" (the garment
    told from its wearer), "scene" (told from a background that is not plain) or "none" (nothing found: the whole
    photo). `trust` is the intersection over union with the truth that masks like it have reached, 0 to 1; a file's or
    alpha's is 1, a model's what it says of itself. `worn` says that somebody wears the garment; `figure`, where it is
    known, is then garment and wearer together.
    """

    image: Image.Image
    source: str
    trust: float
    worn: bool = False
    figure: Image.Image | None = None

    @property
    def trusted(self) -> bool:
        """Whether the mask is used as it is."""
        return self.trust >= TRUSTED

    @property
    def movable(self) -> bool:
        """Whether the garment, with whoever wears it, can be put before another background."""
        return self.trusted and (not self.worn or self.figure is not None)

    def for_training(self) -> Image.Image:
        """The mask as a loss should use it: the less it is trusted, the more the rest of the photo counts too."""
        if self.trusted:
            return self.image
        return self.image.point(lambda value: round(255 - self.trust * (255 - value)))


def find_mask(
    picture: Picture, given: Image.Image | None, class_word: str, view: str, model: MaskModel | None = None
) -> Mask:
    """The best mask that can be had.

    In this order: what the user `given` has painted (mode L, the photo's size); the photo's own transparency; what a
    `model` finds that was asked for; the garment separated by colour and place, where `class_word` and `view` ("" where
    unknown) tell the place.
    """
    if given is not None:
        return Mask(given, "file", 1.0, view == "worn", _figure(picture, given) if view == "worn" else None)
    if picture.alpha is not None:
        return Mask(picture.alpha, "alpha", 1.0)
    if model is not None:
        from lapel.photos.masks.models import mask_by

        return mask_by(model, picture.colour, class_word, view)
    from lapel.photos.masks.separate import separate

    return separate(picture.colour, class_word, view)


def _figure(picture: Picture, garment: Image.Image) -> Image.Image | None:
    """The wearer with the garment, where a plain background or transparency shows them."""
    from PIL import ImageChops

    from lapel.photos.masks.plain import plain_background_mask

    figure = picture.alpha or plain_background_mask(picture.colour)
    return figure and ImageChops.lighter(figure, garment)

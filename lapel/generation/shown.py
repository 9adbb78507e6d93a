"""Photos of a garment, as a garment encoder is shown them: cut out, and seen by the image tower."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lapel.generation.denoise import GarmentPhotos
from lapel.photos.captions import class_word_of, view_of
from lapel.photos.cutout import cut_out

if TYPE_CHECKING:
    from PIL import Image

    from lapel.base.image_tower import Tower

BACKGROUND = "white"
"""Behind transparent photos, as behind the cutout."""


def garment_in(path: Path, class_word: str = "") -> tuple[Image.Image, Image.Image]:
    """A photo (RGB) and where the garment is in it (mode L).

    Its mask is `photo.mask.png` beside it, the photo's own transparency, or found.

    Args:
        class_word: what it is, where it is known: it helps to find it in a worn photo.

    Raises:
        UserError: a photo or mask that cannot be read.
    """
    from lapel.errors import UserError
    from lapel.photos.masks import find_mask
    from lapel.photos.read import read_mask, read_picture

    if not path.is_file():
        raise UserError(f"{path}: no such photo; give a file that shows the garment")
    picture = read_picture(path, BACKGROUND)
    beside = path.with_name(f"{path.stem}.mask.png")
    given = read_mask(beside, path, picture.colour.size) if beside.is_file() else None
    return picture.colour, find_mask(picture, given, class_word, view_of(path.stem)).image


def see_photos(tower: Tower, photos: Sequence[Path], tokens: bool, prompt: str = "") -> GarmentPhotos:
    """What an image tower sees in photos of one garment; the prompt may name what it is."""
    cutouts = [cut_out(*garment_in(path, class_word_of(prompt) or "")) for path in photos]
    return see_cutouts(tower, cutouts, tokens)


def see_cutouts(tower: Tower, cutouts: Sequence[Image.Image], tokens: bool) -> GarmentPhotos:
    """What an image tower sees in cutouts of one garment.

    Args:
        tokens: whether the encoder takes every token of the tower, or its pooled embedding.
    """
    return GarmentPhotos(tower.features(cutouts, tokens), tower.nothing(tokens))

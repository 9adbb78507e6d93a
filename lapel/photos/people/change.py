"""The mask for a change of clothes: what the old garment covers and the new one may cover, without the head."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from lapel.errors import UserError
from lapel.photos.masks import find_mask
from lapel.photos.masks.models import MaskModel
from lapel.photos.people.parsing import Classes
from lapel.photos.people.pose import Pose
from lapel.photos.people.shape import Shape, area, body_of, hands, head
from lapel.photos.read import Picture
from lapel.wardrobe import PARSING

Bools = npt.NDArray[np.bool_]

LEAST_TRUST = 0.6
"""Of the old garment's mask, where nothing but colour and place tells it."""

_REPLACED = {"upper": ("upper", "dress", "print"), "whole": ("upper", "lower", "dress", "print")}
_REPLACED_BELOW = ("lower", "dress")
_EDGE = 0.008
"""Of the photo's longer side: what is replaced is covered this far beyond its edge, which is of its colour too."""


@dataclass(frozen=True)
class Wearer:
    """A photo of a person, and what is known of them."""

    photo: Image.Image
    """RGB."""
    pose: Pose | None = None
    parsing: Classes | None = None
    """(h, w) classes of `PARSING`."""


def mask_for_change(wearer: Wearer, shape: Shape, model: MaskModel | None = None) -> Image.Image:
    """Where to draw a garment of that shape on a person who wears something else: mode L, of the photo's size.

    The old garment is found by the parsing map, or as the intake finds worn garments; where the new one may lie follows
    from the pose, without which it goes where the old one is. Face, hair and hands stay.

    Raises:
        UserError: nobody is found for sure; says what to give.
    """
    old = _old_garment(wearer, shape, model)
    side = max(wearer.photo.size)
    edge = 2 * max(1, round(_EDGE * side)) + 1
    covered: Bools = cv2.dilate(old.astype(np.uint8), np.ones((edge, edge), np.uint8)) > 0
    body = body_of(wearer.pose) if wearer.pose else None
    if wearer.pose and body is None:
        raise UserError("the pose shows no shoulders, which clothes hang on; give another pose, or a mask")
    if body is not None and wearer.pose is not None:
        covered |= area(shape, body, wearer.photo.size)
        covered &= ~_kept(wearer, head(wearer.pose, body), ("skin", "hair"))
        covered &= ~(_kept(wearer, hands(body, wearer.photo.size), ("skin",)) & ~old)
    if wearer.parsing is not None:
        covered &= wearer.parsing != PARSING["hair"]
    return Image.fromarray(covered.astype(np.uint8) * 255)


def _old_garment(wearer: Wearer, shape: Shape, model: MaskModel | None) -> Bools:
    """(h, w) what the new garment takes the place of."""
    if wearer.parsing is not None:
        replaced = _REPLACED_BELOW if shape.on_legs else _REPLACED.get(shape.part, _REPLACED["upper"])
        return np.isin(wearer.parsing, [PARSING[name] for name in replaced])
    class_word = {"whole": "dress", "legs": "trousers", "shorts": "shorts", "skirt": "skirt"}.get(shape.part, "shirt")
    found = find_mask(Picture(wearer.photo, None), None, class_word, "worn", model)
    if wearer.pose is None and found.trust < LEAST_TRUST:
        raise UserError(
            "what the person wears cannot be told for sure; say where the garment goes with --pose, --parsing, "
            "--mask_model or --mask"
        )
    region: Bools = np.asarray(found.image) >= 64
    return region if found.trust >= LEAST_TRUST else np.zeros_like(region)


def _kept(wearer: Wearer, place: Bools, classes: tuple[str, ...]) -> Bools:
    """Of a place that stays: those of the classes, where a parsing map tells them, else all of it."""
    if wearer.parsing is None:
        return place
    return place & np.isin(wearer.parsing, [PARSING[name] for name in classes])

"""A sketch of the change of clothes, for denoising to begin with: what WebUI's users brush under the mask by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
from PIL import Image

from lapel.errors import UserError
from lapel.generation.patch import Alpha
from lapel.photos.people.change import Wearer
from lapel.photos.people.figure import parsing_of
from lapel.photos.people.lay import Axis, axis_of, laid, similarity, worn_axis
from lapel.photos.people.looks import Looks, Worn
from lapel.photos.people.shape import Body, Bools, Shape, body_of, palms
from lapel.photos.people.skin import bare
from lapel.wardrobe import PARSING

_AROUND = 5
"""Pixels around a hole that Telea's method goes by."""


def sketch_change(wearer: Wearer, alpha: Alpha, worn: Worn, garment: tuple[Image.Image, Image.Image]) -> Image.Image:
    """The photo, RGB, with the garment put roughly onto the person, where anything is drawn.

    The garment's cloth is laid along the body as its cut has it there; skin that it bares, and other clothes beside it,
    are of the colours that they have in the photo, as far as that shows them; what is around is drawn into the rest
    (Telea 2004; OpenCV's).

    Args:
        wearer: with a pose.
        alpha: (h, w) of the photo's size, as `InpaintSettings.alpha` has it.
        worn: what has a place on the body, by its words.
        garment: a photo of it laid flat (RGB), and where it is in that (mode L).

    Raises:
        UserError: the pose shows no shoulders, the garment's mask shows none laid flat, or nothing is drawn where the
            garment is.
    """
    body = body_of(wearer.pose) if wearer.pose else None
    if wearer.pose is None or body is None:
        raise UserError("the pose shows no shoulders, which clothes hang on; give another pose")
    photo, drawn = np.asarray(wearer.photo), alpha > 0
    looks = Looks.of(worn)
    classes = parsing_of(wearer.pose, looks.clothes())
    worn_there = np.isin(classes, [PARSING[part] for part in looks.worn])
    cloth = drawn & worn_there
    if not cloth.any():
        raise UserError("the mask is not where the pose wears the garment; give another, or another --masked_content")
    sketch = cv2.inpaint(photo, drawn.astype(np.uint8), _AROUND, cv2.INPAINT_TELEA)
    for name, number in PARSING.items():
        if (seen := _seen(wearer, body, name, drawn)).any():
            sketch[drawn & (classes == number)] = np.median(photo[seen], axis=0)
    flat, mask = np.asarray(garment[0]), np.asarray(garment[1]) >= 128
    place = similarity(axis_of(mask, worn.shape), _hanging(worn_axis(body, worn.shape), worn.shape, worn_there))
    sketch[cloth] = laid(flat, mask, place, wearer.photo.size)[cloth]
    return Image.fromarray(np.where(drawn[..., None], sketch, photo))


def _hanging(axis: Axis, shape: Shape, cloth: Bools) -> Axis:
    """The axis of what hangs below the hips, down to where a parsing map has it end, unless the picture ends first."""
    (x, y), (u, v) = axis
    if shape.part == "upper" or cloth[-1].any() or not cloth.any():
        return axis
    rows, columns = np.nonzero(cloth)
    share = ((columns - x) * (u - x) + (rows - y) * (v - y)).max() / math.dist((x, y), (u, v)) ** 2
    return ((x, y), (x + share * (u - x), y + share * (v - y))) if share > 0 else axis


def _seen(wearer: Wearer, body: Body, name: str, drawn: Bools) -> Bools:
    """(h, w) where the photo shows a class, if it can be where that stays.

    By the parsing map, or, of skin, at the nose or in the hands.
    """
    if name == "background":
        return np.zeros_like(drawn)
    if wearer.parsing is not None:
        places = [wearer.parsing == PARSING[name]]
    elif name == "skin":
        assert wearer.pose is not None
        nose = wearer.pose.get("nose")
        places = [bare(points, body, wearer.photo.size) for points in ([nose] if nose else [], palms(body))]
    else:
        places = []
    tried = [*(place & ~drawn for place in places), *places]
    return next((place for place in tried if place.any()), np.zeros_like(drawn))

"""A sketch of the change of clothes, for denoising to begin with: what WebUI's users brush under the mask by hand."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from lapel.errors import UserError
from lapel.photos.people.change import Wearer, replaced
from lapel.photos.people.figure import parsing_of
from lapel.photos.people.lay import Axis, axis_of, laid, similarity
from lapel.photos.people.looks import Looks, Worn
from lapel.photos.people.pose import Pose
from lapel.photos.people.shape import Bools, Shape, body_of, hem_of, palms
from lapel.wardrobe import PARSING

Pixels = npt.NDArray[np.uint8]

_AROUND = 5
"""Pixels around a hole that Telea's method goes by."""
_BARE = 0.08
"""Of the shoulders' width: the radius of a disc, around the nose or in a hand, that shows nothing but skin."""


def sketch_change(
    wearer: Wearer, mask: Image.Image, worn: Worn, garment: tuple[Image.Image, Image.Image]
) -> Image.Image:
    """The photo, RGB, with the garment put roughly onto the person, where the mask is.

    The garment's cloth is laid along the body as its cut has it there; skin that it bares, and other clothes below it,
    are of the colours that they have elsewhere in the photo, as far as that shows them; what is around the mask is
    drawn into the rest (Telea 2004; OpenCV's).

    Args:
        wearer: with a pose.
        mask: mode L, of the photo's size.
        garment: a photo of it laid flat (RGB), and where it is in that (mode L).

    Raises:
        UserError: the pose shows no shoulders, or the garment's mask is empty.
    """
    assert wearer.pose is not None
    photo, drawn = np.asarray(wearer.photo), np.asarray(mask) > 0
    classes = parsing_of(wearer.pose, Looks.of(worn).clothes())
    cloth = np.isin(classes, [PARSING[name] for name in replaced(worn.shape)])
    sketch = cv2.inpaint(photo, drawn.astype(np.uint8), _AROUND, cv2.INPAINT_TELEA)
    for name, number in PARSING.items():
        seen = _seen(wearer, name) & ~drawn
        if seen.any():
            sketch[drawn & (classes == number)] = np.median(photo[seen], axis=0)
    if (drawn & cloth).any():
        sketch[drawn & cloth] = _worn(garment, wearer.pose, worn.shape, cloth)[drawn & cloth]
    return Image.fromarray(np.where(drawn[..., None], sketch, photo))


def _worn(garment: tuple[Image.Image, Image.Image], pose: Pose, shape: Shape, cloth: Bools) -> Pixels:
    """(h, w, 3) the garment's photo, turned and scaled as the body holds it."""
    photo, mask = np.asarray(garment[0]), np.asarray(garment[1]) >= 128
    if not mask.any():
        raise UserError("the garment's mask is empty; give the photo a .mask.png")
    return laid(photo, mask, similarity(_flat_axis(mask, shape), _worn_axis(pose, shape, cloth)), pose.size)


def _flat_axis(mask: Bools, shape: Shape) -> Axis:
    """As `axis_of` has it, but for legs down to where they end, which is not below the middle."""
    top, hem = axis_of(mask)
    return (top, (hem[0], float(np.nonzero(mask.any(axis=1))[0][-1]))) if shape.on_legs else (top, hem)


def _worn_axis(pose: Pose, shape: Shape, cloth: Bools) -> Axis:
    """From the neck, or the waist of what is worn below it, to the hem."""
    body = body_of(pose)
    assert body is not None  # the parsing map was made from it
    if not shape.on_legs:
        return body.neck, hem_of(shape, body)
    hips = [leg[0] for leg in body.legs]
    return (sum(x for x, _ in hips) / len(hips), float(np.nonzero(cloth.any(axis=1))[0][0])), hem_of(shape, body)


def _seen(wearer: Wearer, name: str) -> Bools:
    """(h, w) where the photo shows a class for sure: by the parsing map, or of skin alone, at the nose or the hands."""
    if wearer.parsing is not None:
        known: Bools = wearer.parsing == PARSING[name]
        return known & (name != "background")
    assert wearer.pose is not None
    discs = np.zeros(wearer.photo.size[::-1], np.uint8)
    body, nose = body_of(wearer.pose), wearer.pose.get("nose")
    if name == "skin" and body is not None:
        for places in ([nose] if nose is not None else [], palms(body)):
            for x, y in places if not discs.any() else []:
                cv2.circle(discs, (round(x), round(y)), max(1, round(_BARE * body.unit)), 1, -1)
    return discs > 0

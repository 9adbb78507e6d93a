"""The mask for a change of clothes: what the old garment covers and the new one may cover, without the head and what
else is worn."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from lapel.errors import UserError
from lapel.photos.masks import find_mask
from lapel.photos.masks.colours import to_lab
from lapel.photos.masks.models import MaskModel
from lapel.photos.people.figure import parsing_of
from lapel.photos.people.looks import Looks, Worn
from lapel.photos.people.parsing import Classes
from lapel.photos.people.pose import Pose
from lapel.photos.people.shape import Body, Shape, area, body_of, hands, head, long_sleeves, loosest
from lapel.photos.people.skin import wears_long_sleeves
from lapel.photos.read import Picture
from lapel.wardrobe import PARSING

Bools = npt.NDArray[np.bool_]

LEAST_TRUST = 0.6
"""Of the old garment's mask, where nothing but colour and place tells it."""

_REPLACED = {"upper": ("upper", "outer", "dress", "print"), "whole": ("upper", "outer", "lower", "dress", "print")}
_REPLACED_BELOW = ("lower", "dress")
_HALVES = ("upper", "legs", "shorts", "skirt")
_OUTFIT = 2.3
"""Clothes that are so many times as high as they are wide are an upper and a lower garment."""
_WAIST = (0.32, 0.55)
"""Where they part, as shares of their height."""
_CLOTHES = ("upper", "outer", "lower", "dress", "print", "shoes")
_BEYOND = 0.1
"""Of the shoulders' width: other clothes may be covered so far beyond where the wardrobe's cut has the new garment."""
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


@dataclass(frozen=True)
class Change:
    """Where clothes change: both of mode L and of the photo's size."""

    mask: Image.Image
    """What is drawn."""
    kept: Image.Image
    """What stays even where the mask fades out."""
    found: bool = True
    """Whether the old garment was found for sure, rather than all covered where one may be."""


def change_of_clothes(wearer: Wearer, worn: Worn, model: MaskModel | None = None) -> Change:
    """Where to draw that garment on a person who wears something else.

    The old garment is found by the parsing map, or as the intake finds worn garments, with sleeves where an arm is not
    of the face's colour; where that is not sure, it is all that such a garment may cover at its longest. Where the new
    one may lie follows from the pose, without which it goes where the old one is. Face, hair and hands stay, as far as
    pose and parsing map tell where they are, and so do other clothes that the parsing map shows where neither garment
    lies.

    Raises:
        UserError: nobody is found for sure; says what to give.
    """
    shape = worn.shape
    body = body_of(wearer.pose) if wearer.pose else None
    if wearer.pose and body is None:
        raise UserError("the pose shows no shoulders, which clothes hang on; give another pose, or a mask")
    old, found = _old_garment(wearer, shape, body, model)
    side = max(wearer.photo.size)
    edge = 2 * max(1, round(_EDGE * side)) + 1
    covered: Bools = cv2.dilate(old.astype(np.uint8), np.ones((edge, edge), np.uint8)) > 0
    if body is not None:
        covered |= area(shape, body, wearer.photo.size) & ~_other_clothes(wearer, worn, _BEYOND * body.unit)
        covered |= _missed_sleeves(wearer, shape, body)
    kept = _protected(wearer, body, covered, old if found else np.zeros_like(old))
    return Change(_white(covered & ~kept), _white(kept), found)


def change_within(wearer: Wearer, mask: Image.Image) -> Change:
    """The change that a user's own mask (mode L) asks for: face, hair and hands beside it stay where it fades out."""
    covered: Bools = np.asarray(mask) > 0
    kept = _protected(wearer, body_of(wearer.pose) if wearer.pose else None, covered, covered) & ~covered
    return Change(mask, _white(kept))


def _white(part: Bools) -> Image.Image:
    """Mode L: 255 there."""
    return Image.fromarray(part.astype(np.uint8) * 255)


def _protected(wearer: Wearer, body: Body | None, covered: Bools, old: Bools) -> Bools:
    """(h, w) face, hair and hands, which are not drawn.

    Without a pose nothing tells a face from other skin, which then all stays where it is not covered.

    Args:
        covered: what would be drawn.
        old: the old garment, which may have been found to hold a hand.
    """
    size, kept = wearer.photo.size, np.zeros_like(covered)
    if wearer.parsing is not None:
        kept |= _classes(wearer.parsing, ("hair",))
    if body is not None and wearer.pose is not None:
        kept |= _of(wearer, head(wearer.pose, body), ("skin", "hair"))
        kept |= _of(wearer, hands(body, size), ("skin",)) & ~old
    elif wearer.parsing is not None:
        kept |= _classes(wearer.parsing, ("skin",)) & ~covered
    return kept


def _old_garment(wearer: Wearer, shape: Shape, body: Body | None, model: MaskModel | None) -> tuple[Bools, bool]:
    """(h, w) what the new garment takes the place of, and whether that is sure."""
    if wearer.parsing is not None:
        return _classes(wearer.parsing, _replaced(shape)), True
    class_word = {"whole": "dress", "legs": "trousers", "shorts": "shorts", "skirt": "skirt"}.get(shape.part, "shirt")
    found = find_mask(Picture(wearer.photo, None), None, class_word, "worn", model)
    if found.trust < LEAST_TRUST:
        if body is None:
            raise UserError(
                "what the person wears cannot be told for sure; say where the garment goes with --pose, --parsing, "
                "--mask_model or --mask"
            )
        areas = [area(one, body, wearer.photo.size) for one in loosest(shape)]
        return np.logical_or.reduce(areas), False
    region: Bools = np.asarray(found.image) >= 64
    return (_half(wearer.photo, region, below=shape.on_legs) if shape.part in _HALVES else region), True


def _missed_sleeves(wearer: Wearer, shape: Shape, body: Body) -> Bools:
    """(h, w) sleeves of the old garment, where no parsing map tells them: of the wall's colour they are not found."""
    doubted = wearer.parsing is None and not shape.on_legs
    if doubted and wearer.pose is not None and wears_long_sleeves(wearer.photo, wearer.pose, body):
        return long_sleeves(body, wearer.photo.size)
    return np.zeros(wearer.photo.size[::-1], bool)


def _other_clothes(wearer: Wearer, worn: Worn, beyond: float) -> Bools:
    """(h, w) what is worn beside the old garment, as far as a parsing map tells, but for where the new one covers it.

    The area of a garment is loose, so that its hem would reach far down whatever is worn below.

    Args:
        beyond: pixels around the new garment that do not count.
    """
    if wearer.parsing is None or wearer.pose is None:
        return np.zeros(wearer.photo.size[::-1], bool)
    old = _replaced(worn.shape)
    looks = Looks.of(worn)
    cut = _classes(parsing_of(wearer.pose, looks.clothes()), tuple(looks.worn))
    side = 2 * max(1, round(beyond)) + 1
    near = cv2.dilate(cut.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))) > 0
    return _classes(wearer.parsing, tuple(name for name in _CLOTHES if name not in old)) & ~near


def _replaced(shape: Shape) -> tuple[str, ...]:
    """The classes of what a garment of that shape takes the place of."""
    return _REPLACED_BELOW if shape.on_legs else _REPLACED.get(shape.part, _REPLACED["upper"])


def _classes(parsing: Classes, names: tuple[str, ...]) -> Bools:
    """(h, w) where a parsing map has one of the classes."""
    return np.isin(parsing, [PARSING[name] for name in names])


def _half(photo: Image.Image, region: Bools, below: bool) -> Bools:
    """Of clothes from shoulders to ankles, the lower or the upper ones; they part where colours change most."""
    rows, columns = np.nonzero(region)
    top, height = int(rows.min()), int(np.ptp(rows)) + 1
    if height < _OUTFIT * (np.ptp(columns) + 1):
        return region
    lab = to_lab(np.asarray(photo))
    lines = np.array([np.median(lab[y][region[y]], axis=0) if region[y].any() else [0] * 3 for y in range(len(region))])
    near = max(2, height // 30)
    places = range(top + int(_WAIST[0] * height), top + int(_WAIST[1] * height))
    changes = [np.abs(lines[y : y + near].mean(0) - lines[y - near : y].mean(0)).sum() for y in places]
    waist = places[int(np.argmax(changes))]
    half = region.copy()
    half[:waist] &= not below
    half[waist:] &= below
    return half


def _of(wearer: Wearer, place: Bools, classes: tuple[str, ...]) -> Bools:
    """Of a place, what a parsing map says is of the classes; without a map, all of it."""
    if wearer.parsing is None:
        return place
    return place & _classes(wearer.parsing, classes)

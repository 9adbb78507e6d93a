"""What can be measured of one photo and its garment, for the checks that compare a folder's photos."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from lapel.photos.borders import border_of
from lapel.photos.colour_names import named_colours
from lapel.photos.masks.colours import palette, to_lab

Floats = npt.NDArray[np.float32]

_COLOUR_SIDE = 256
"""Pixels of the longer side at which colours are looked at."""

_HASH_SIDE, _HASH_BITS = 32, 8


def facts_of(photo: Image.Image, mask: Image.Image, seen: Image.Image) -> dict[str, Any]:
    """The facts of a photo (RGB), its mask (L, the same size), and `seen`, what is cut out for training (RGB).

    `share` of the frame that is garment; `lab` the garment's mean colour, and `colours` its colours by name; `palette`
    the share of each cell of its colours, as the bytes of float32; `white` and `black` the shares of it that are
    clipped; `border` the pixels at the left, top, right and bottom that are a border's; `blur` of what is seen, 0 sharp
    to 1 blurred; `hash` of what is seen, 64 bits as text, alike for photos that look alike.
    """
    small = photo.copy()
    small.thumbnail((_COLOUR_SIDE, _COLOUR_SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small)
    inside = np.asarray(mask.resize(small.size, Image.Resampling.BOX)) >= 128
    garment = inside if inside.any() else np.ones_like(inside)
    lab = to_lab(pixels)
    return {
        "share": float(inside.mean()),
        "lab": lab[garment].mean(axis=0).tolist(),
        "colours": named_colours(lab[garment]),
        "palette": palette(lab, garment).tobytes(),
        "white": float((pixels[garment].min(axis=1) >= 253).mean()),
        "black": float((pixels[garment].max(axis=1) <= 3).mean()),
        "border": list(border_of(np.asarray(photo))),
        "blur": _blur(np.asarray(seen.convert("L")).astype(np.float32)),
        "hash": _hash(seen),
    }


def hash_distance(one: str, other: str) -> int:
    """How many of the 64 bits of two hashes differ."""
    return bin(int(one, 16) ^ int(other, 16)).count("1")


def _blur(grey: Floats) -> float:
    """0 sharp to 1 blurred: how little of the picture's edges blurring takes away (Crete and others, 2007)."""
    blurs = []
    for axis, kernel in ((0, (1, 9)), (1, (9, 1))):
        edges = np.abs(np.diff(grey, axis=axis))
        after = np.abs(np.diff(cv2.blur(grey, kernel), axis=axis))
        lost = np.maximum(edges - after, 0).sum()
        blurs.append(1 - lost / max(float(edges.sum()), 1e-6))
    return float(max(blurs))


def _hash(picture: Image.Image) -> str:
    """A perceptual hash: the signs of the lowest frequencies of a small grey copy, in hexadecimal."""
    small = picture.convert("L").resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.BOX)
    waves = cv2.dct(np.asarray(small).astype(np.float32))[:_HASH_BITS, :_HASH_BITS].ravel()
    return f"{int(''.join('1' if wave > np.median(waves) else '0' for wave in waves), 2):016x}"

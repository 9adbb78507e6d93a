"""Names and hex codes of a garment's colours, computed from its pixels."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from lapel.photos.masks.colours import to_lab

Floats = npt.NDArray[np.float32]

NAMES: dict[str, tuple[int, int, int]] = {
    "black": (28, 28, 32),
    "charcoal": (66, 68, 72),
    "grey": (136, 138, 142),
    "light grey": (200, 201, 204),
    "white": (244, 244, 240),
    "cream": (240, 230, 204),
    "beige": (222, 200, 164),
    "tan": (190, 152, 108),
    "brown": (116, 72, 40),
    "khaki": (150, 142, 104),
    "olive": (104, 104, 44),
    "lime": (160, 208, 40),
    "green": (30, 130, 64),
    "dark green": (20, 70, 44),
    "mint": (164, 222, 190),
    "teal": (16, 136, 140),
    "turquoise": (64, 200, 204),
    "light blue": (132, 196, 240),
    "blue": (36, 84, 204),
    "navy": (24, 36, 92),
    "lavender": (184, 168, 224),
    "purple": (116, 52, 164),
    "magenta": (200, 36, 140),
    "pink": (244, 136, 180),
    "light pink": (246, 204, 212),
    "coral": (246, 124, 100),
    "red": (208, 32, 38),
    "maroon": (108, 20, 40),
    "orange": (240, 128, 24),
    "mustard": (206, 160, 44),
    "yellow": (246, 212, 44),
}
"""Shops' names, sRGB 0 to 255; where the wardrobe has the name, it is the wardrobe's colour."""

_LEAST_SHARE = 0.1
_MOST = 3


def named_colours(lab: Floats) -> list[str]:
    """The colours of a garment's pixels (n, 3) in CIE Lab: up to three of `name #rrggbb share`, the largest first.

    Each pixel goes to the nearest name; the hex code is the median in Lab of the pixels of that name.
    """
    if len(lab) == 0:
        return []
    nearest = np.linalg.norm(lab[:, None] - _table()[None], axis=2).argmin(axis=1)
    counts = np.bincount(nearest, minlength=len(NAMES))
    found: list[str] = []
    for number in counts.argsort()[::-1][:_MOST]:
        share = counts[number] / len(lab)
        if share >= _LEAST_SHARE or not found:
            found.append(f"{list(NAMES)[number]} {_hex(np.median(lab[nearest == number], axis=0))} {share:.2f}")
    return found


def common_colours(photos: Iterable[Iterable[str]]) -> list[str]:
    """`name #rrggbb` of a garment from the `named_colours` of its photos: what is a tenth or more of it on average."""
    shares: dict[str, float] = {}
    best: dict[str, tuple[float, str]] = {}
    photos = [list(colours) for colours in photos]
    for colours in photos:
        for colour in colours:
            name, code, share = colour.rsplit(" ", 2)
            shares[name] = shares.get(name, 0.0) + float(share) / len(photos)
            best[name] = max(best.get(name, (0.0, "")), (float(share), code))
    names = sorted((name for name in shares if shares[name] >= _LEAST_SHARE), key=lambda name: -shares[name])
    return [f"{name} {best[name][1]}" for name in names[:_MOST]]


@cache
def _table() -> Floats:
    return to_lab(np.array([list(NAMES.values())], dtype=np.uint8))[0]


def _hex(lab: Floats) -> str:
    rgb = cv2.cvtColor(lab.astype(np.float32)[None, None], cv2.COLOR_LAB2RGB)[0, 0]
    red, green, blue = (np.clip(rgb, 0, 1) * 255).round().astype(int).tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"

"""Where in a photo a garment is to be expected, before any colour is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_MOST, _LEAST = 0.95, 0.02
_RING = 0.03
"""The border's width, as a share of the shorter side."""

_PARTS = {
    "whole": ("dress", "jumpsuit", "overalls", "robe", "coat", "suit", "swimsuit", "pyjamas"),
    "legs": ("trousers", "pants", "capri pants", "jeans", "leggings"),
    "shorts": ("shorts",),
    "skirt": ("skirt",),
    "thing": (
        *("garment", "boot", "shoe", "sneaker", "sandal", "cap", "hat", "beanie", "scarf", "gloves", "socks"),
        *("tie", "belt", "backpack", "bag"),
    ),
}


@dataclass(frozen=True)
class Place:
    """A blurred box: its middle and half its sides, as shares of the photo's height (y) and width (x)."""

    y: float
    x: float
    half_height: float
    half_width: float

    def probability(self, height: int, width: int) -> Floats:
        """(height, width) how likely each pixel is the garment's: 0.95 within the box, 0.02 far from it."""
        down = np.abs((np.arange(height) + 0.5) / height - self.y) / self.half_height
        across = np.abs((np.arange(width) + 0.5) / width - self.x) / self.half_width
        away = down[:, None] ** 3 + across[None] ** 3
        return np.clip(_MOST / (1 + away**1.3), _LEAST, _MOST).astype(np.float32)


# (part, how it is shown) -> y, half height, half width. Found on wardrobe photos, whose framing is that of shops.
_PLACES = {
    ("upper", "flat"): (0.50, 0.24, 0.26),
    ("whole", "flat"): (0.50, 0.36, 0.24),
    ("legs", "flat"): (0.50, 0.38, 0.18),
    ("shorts", "flat"): (0.50, 0.33, 0.33),
    ("skirt", "flat"): (0.50, 0.33, 0.30),
    ("thing", "flat"): (0.50, 0.30, 0.30),
    ("upper", "worn"): (0.57, 0.20, 0.16),
    ("whole", "worn"): (0.54, 0.28, 0.13),
    ("legs", "worn"): (0.50, 0.30, 0.12),
    ("shorts", "worn"): (0.38, 0.14, 0.12),
    ("skirt", "worn"): (0.42, 0.20, 0.14),
    ("thing", "worn"): (0.50, 0.25, 0.20),
    ("upper", "detail"): (0.62, 0.45, 0.42),
    ("whole", "detail"): (0.55, 0.48, 0.36),
    ("legs", "detail"): (0.50, 0.50, 0.42),
    ("shorts", "detail"): (0.50, 0.50, 0.45),
    ("skirt", "detail"): (0.50, 0.50, 0.45),
    ("thing", "detail"): (0.50, 0.50, 0.50),
}

# part -> where the wearer's figure begins, and how much of the photo's height it fills, in the places of "worn" above.
_FIGURES = {
    "upper": (0.09, 0.91),
    "whole": (0.09, 0.82),
    "legs": (0.0, 0.93),
    "shorts": (0.0, 0.93),
    "skirt": (0.0, 0.93),
    "thing": (0.05, 0.9),
}


def expected_place(class_word: str, shown: str, figure: npt.NDArray[np.bool_] | None = None) -> Place:
    """The place of a garment that is `shown` "flat", "worn" or as a "detail".

    `figure` (h, w), where it is known, is the wearer's silhouette: the place is then measured from its head down and
    not from the photo's edge.
    """
    part = part_of(class_word)
    y, half_height, half_width = _PLACES[part, shown]
    if figure is None:
        return Place(y, 0.5, half_height, half_width)
    rows, columns = np.nonzero(figure)
    height, width = figure.shape
    top = rows.min() / height
    usual_top, usual_height = _FIGURES[part]
    scale = ((rows.max() + 1) / height - top) / usual_height
    middle = float(np.median(columns)) / width
    return Place(top + (y - usual_top) * scale, middle, half_height * scale, half_width * scale * height / width)


def part_of(class_word: str) -> str:
    """Which part of a figure a garment covers: upper, whole, legs, shorts, skirt, or that it is another thing."""
    return next((part for part, words in _PARTS.items() if class_word in words), "upper")


def border(height: int, width: int) -> npt.NDArray[np.bool_]:
    """(height, width) the photo's outermost pixels, which show background unless the garment is cut off."""
    ring = max(2, round(_RING * min(height, width)))
    mask = np.ones((height, width), bool)
    mask[ring:-ring, ring:-ring] = False
    return mask

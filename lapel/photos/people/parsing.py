"""Parsing maps: which pixel of a photo is background, skin, hair or which garment, as a PNG that can be edited."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from lapel.errors import UserError
from lapel.files import written_whole
from lapel.wardrobe import PARSING

Classes = npt.NDArray[np.uint8]

PALETTE: dict[str, tuple[int, int, int]] = {
    "background": (0, 0, 0),
    "skin": (255, 204, 170),
    "hair": (120, 72, 40),
    "upper": (230, 25, 75),
    "lower": (0, 130, 200),
    "dress": (145, 30, 180),
    "print": (255, 225, 25),
    "shoes": (128, 128, 128),
    "outer": (240, 90, 30),
}
"""Colours of the classes, for people who paint; far enough apart that the nearest one is meant."""


def colours_of(classes: Classes) -> npt.NDArray[np.uint8]:
    """(h, w, 3) the classes (h, w) in `PALETTE`'s colours."""
    return np.array([PALETTE[name] for name in PARSING], np.uint8)[classes]


def write_parsing(classes: Classes, path: Path) -> None:
    """Write classes (h, w) of `PARSING` as a palette PNG in `PALETTE`'s colours."""
    image = Image.fromarray(classes).convert("P")
    image.putpalette([part for name in PARSING for part in PALETTE[name]])
    with written_whole(path) as unfinished:
        image.save(unfinished, format="PNG")


def read_parsing(path: Path, size: tuple[int, int]) -> Classes:
    """Read a parsing map, (h, w) classes of `PARSING`: each pixel is the class of the nearest colour of `PALETTE`.

    A grey picture is read as the classes' numbers themselves.

    Raises:
        UserError: no picture, another size than the photo's (width, height), or grey values that are no class.
    """
    try:
        with Image.open(path) as opened:
            opened.load()
            image = opened.copy()
    except OSError:
        raise UserError(f"{path}: not a picture; give a parsing map as a PNG in lapel's palette") from None
    if image.size != size:
        sizes = f"{image.width} x {image.height}, the photo {size[0]} x {size[1]}"
        raise UserError(f"{path}: the parsing map is {sizes}; both must have one size")
    if image.mode == "L":
        numbers: Classes = np.asarray(image)
        if numbers.max() >= len(PARSING):
            raise UserError(
                f"{path}: grey {numbers.max()} is no class; use 0 to {len(PARSING) - 1}, or lapel's palette"
            )
        return numbers
    pixels = np.asarray(image.convert("RGB")).astype(np.int32)
    away = np.stack([((pixels - PALETTE[name]) ** 2).sum(axis=2) for name in PARSING])
    return away.argmin(axis=0).astype(np.uint8)

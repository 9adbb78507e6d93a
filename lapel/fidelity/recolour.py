"""Brings a garment in an image back to the colours of its photos, within its own light and shade."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lapel.fidelity.colour import (
    ColourDifference,
    Floats,
    Palette,
    Pixels,
    colour_difference,
    delta_e,
    dominant_colours,
    from_lab,
    to_lab,
    transport,
)
from lapel.generation.retouching import Colour

_REACH = 8.0
"""Steps of Lab over which a pixel's belonging to a dominant colour falls off, so that neighbours move together."""

_JUST_VISIBLE, _ANOTHER_GARMENT = 2.0, 25.0
"""Delta E: `auto` leaves alone what nobody sees, and what is so far off that it is not this garment's colour at all."""

_ROUNDS = 3
"""Dominant colours found anew after a shift lie a little elsewhere; so often it is done again."""


@dataclass(frozen=True)
class Recoloured:
    """An image (h, w, 3) and the delta E 2000 between its garment and the photos, before and after."""

    image: Pixels
    before: ColourDifference
    after: ColourDifference


def recolour(image: Pixels, region: npt.NDArray[np.bool_], photos: Palette, how: Colour) -> Recoloured:
    """Shift every dominant colour of a region to the photos' colour that it stands for, in CIE Lab (D65).

    Each pixel moves by its own colour's shift, so that folds, light and texture stay. Pixels outside the region do not
    change by one bit.

    Args:
        image: (h, w, 3) uint8, sRGB.
        region: (h, w), not empty.
        photos: of the garment's photos.
        how: `off` only measures; `auto` shifts what is visibly off and yet the same garment; `strict` shifts always.
    """
    before = after = colour_difference(dominant_colours([image], [region]), photos)
    wanted = how == "strict" or (how == "auto" and _JUST_VISIBLE < before.mean < _ANOTHER_GARMENT)
    best = image
    for _ in range(_ROUNDS if wanted else 0):
        shifted = _shifted(best, region, photos)
        difference = colour_difference(dominant_colours([shifted], [region]), photos)
        if difference.mean >= after.mean:
            break
        best, after = shifted, difference
    return Recoloured(best, before, after)


def _shifted(image: Pixels, region: npt.NDArray[np.bool_], photos: Palette) -> Pixels:
    found = dominant_colours([image], [region])
    plan = transport(delta_e(found.lab[:, None], photos.lab[None]), found.shares, photos.shares)
    aims = plan @ photos.lab / plan.sum(axis=1, keepdims=True)
    lab = to_lab(image[region])
    away = ((lab[:, None] - found.lab[None]) ** 2).sum(axis=2)
    # The nearest colour's own distance is taken off, so that a pixel far from all of them still belongs to one.
    belonging: Floats = np.exp((away.min(axis=1, keepdims=True) - away) / (2 * _REACH**2))
    belonging /= belonging.sum(axis=1, keepdims=True)
    result: npt.NDArray[Any] = image.copy()
    result[region] = from_lab(lab + belonging @ (aims - found.lab))
    return result

"""Retrieval: is the right garment first among others that are nearly the same?"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from lapel.wardrobe import COLOURS, PATTERNS, Garment, sample_garment
from lapel.wardrobe.draws import Draws
from lapel.wardrobe.vocabulary import PATTERN_COLOURS

if TYPE_CHECKING:
    import torch


def wardrobe_gallery(garment: Garment, size: int, seed: int) -> list[Garment]:
    """`size` garments, the first of them `garment`, the others a function of `seed`: half of them near it.

    Near are colourways, and the same in another pattern; the others are any garments.

    Raises:
        ValueError: a size below 2.
    """
    if size < 2:
        raise ValueError(f"a gallery of {size} has no others")
    draws = Draws(seed, stream=9)
    others = [*colourways(garment), *_patterns(garment)]
    near = [others.pop(draws.integer(len(others))) for _ in range(min(len(others), (size - 1) // 2))]
    gallery = [garment, *near]
    number = 0
    while len(gallery) < size:
        any_other = sample_garment(1000 * seed + number, "train" if number % 2 else "held_out")
        number += 1
        if all(any_other != known for known in gallery):
            gallery.append(any_other)
    return gallery


def retrieval_rank(similarities: torch.Tensor, right: int) -> int:
    """The rank of the right garment, 1 the best, by an image's similarities (n,) to the garments of a gallery."""
    return 1 + int((similarities > similarities[right]).sum())


def colourways(garment: Garment) -> list[Garment]:
    """The garment with every other main colour."""
    free = [name for name in COLOURS if name not in garment.colours]
    return [dataclasses.replace(garment, colours=(name, *garment.colours[1:])) for name in free]


def _patterns(garment: Garment) -> list[Garment]:
    known = [*garment.colours, *(name for name in ("white", "navy", "grey") if name not in garment.colours)]
    return [
        dataclasses.replace(
            garment, pattern=pattern, colours=tuple(known[: PATTERN_COLOURS.get(pattern, 2)]), print="none"
        )
        for pattern in PATTERNS
        if pattern not in (garment.pattern, "denim")
    ]

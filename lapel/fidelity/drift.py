"""What an adapter should leave alone: backgrounds, people, the class word, and the differences between seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lapel.fidelity.colour import Palette, colour_difference, delta_e, dominant_colours, to_lab
from lapel.fidelity.region import Bools, Pixels

if TYPE_CHECKING:
    from PIL import Image

    from lapel.fidelity.identity import ImageTower

_NEAR = 5.0
"""Delta E at which a base's own background is the photos' already, so that nothing can leak."""

_STRANGE = 12.0
"""Delta E beyond which a colour is none of the scene's."""


def background(image: Pixels, region: Bools) -> Palette:
    """The dominant colours of an sRGB image (h, w, 3) uint8 around the garment's region (h, w); of all of it where none
    is left."""
    return _palette(image, _around(region))


def person(image: Pixels, region: Bools) -> Palette:
    """The dominant colours of who wears the garment in an image, as of `background`: skin, hair, other clothes.

    They are those above and below the garment that the scene on either side has not; where there are none, the
    scene's.
    """
    columns = np.flatnonzero(region.any(axis=0))
    middle, width = columns.mean(), np.ptp(columns) + 1
    off = np.abs(np.arange(region.shape[1]) - middle)
    upright, beside = (
        np.broadcast_to(there, region.shape) & _around(region) for there in (off <= width / 4, off > width)
    )
    scene = _palette(image, beside if beside.any() else _around(region))
    strange = delta_e(to_lab(image)[:, :, None], scene.lab).min(axis=2) > _STRANGE
    return _palette(image, upright & strange, upright)


def leak(image: Palette, base: Palette, photos: Sequence[Palette]) -> float:
    """How far the photos' background, or person, has come into an image that does not ask for it: 0 not at all, 1
    wholly.

    By how much it is nearer to that of the nearest photo than in the base's own image of the same prompt and seed, as
    a share of the base's distance (delta E 2000 between dominant colours).
    """
    own = min(colour_difference(base, photo).mean for photo in photos)
    now = min(colour_difference(image, photo).mean for photo in photos)
    return float(np.clip((own - now) / max(own, _NEAR), 0, 1))


def _around(region: Bools) -> Bools:
    import cv2

    return ~cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)


def _palette(image: Pixels, *regions: Bools) -> Palette:
    """Of the first region that is not empty; else of all of the image."""
    whole = np.ones(image.shape[:2], np.bool_)
    return dominant_colours([image], [next(there for there in (*regions, whole) if there.any())])


def class_drift(tower: ImageTower, before: Sequence[Image.Image], after: Sequence[Image.Image]) -> float:
    """How far the class word alone has moved: 1 - cosine of images of the same seeds, by the base and with the adapter.

    In 0..2; 0 is no drift at all, and 1 - the similarity of two seeds of the base is as if another seed were drawn.
    """
    pairs = tower.embed_images(before) * tower.embed_images(after)
    return 1 - float(pairs.sum(dim=1).mean())


def diversity(tower: ImageTower, images: Sequence[Image.Image]) -> float:
    """How different the images of one prompt are over seeds: the mean of 1 - cosine over pairs, in 0..2.

    Raises:
        ValueError: fewer than two images.
    """
    if len(images) < 2:
        raise ValueError(f"{len(images)} images have no differences")
    similarities = tower.similarity(images, images)
    count = len(images)
    return 1 - float((similarities.sum() - similarities.diagonal().sum()) / (count * (count - 1)))

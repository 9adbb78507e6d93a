"""A catalogue of the wardrobe's garments, drawn instead of read: flat photos to be shown, worn ones to be drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

VIEWS = ("front", "front", "back", "worn", "worn", "worn")
"""The photos of each garment: flat ones to be shown, worn ones to be drawn."""
FIRST_SEED = 5_000_000
"""Of the first garment; beyond those that `tiny` was trained on."""
SIDE = 96
"""Pixels of the photos along a side where the base asks for fewer or the same."""


def draw_rows(garments: int, side: int) -> Iterator[dict[str, Any]]:
    """Rows of a `Catalogue` for so many garments of the training split, with photos of `side` pixels along a side.

    Masks are exact; captions leave the garment's looks to the photo, and descriptions tell them.
    """
    from PIL import Image
    from tqdm import tqdm

    from lapel.photos.cutout import cut_out
    from lapel.wardrobe import caption, photograph, sample_garment, sample_shot

    for number in tqdm(range(garments), desc="wardrobe", unit="garment", mininterval=1):
        garment = sample_garment(FIRST_SEED + number)
        for place, view in enumerate(VIEWS):
            shot = sample_shot((FIRST_SEED + number) * len(VIEWS) + place, garment, view)
            photo = photograph(garment, shot, max(side, SIDE))
            image, mask = Image.fromarray(photo.image), Image.fromarray(photo.mask)
            cutout = cut_out(image, mask)
            if side < SIDE:
                image, mask = (each.resize((side, side), Image.Resampling.LANCZOS) for each in (image, mask))
            yield {
                "garment": number,
                "sku": f"wardrobe-{number}",
                "file": f"wardrobe-{number}-{place}-{view}",
                "view": view,
                "caption": caption(garment, shot, garment.kind),
                "described": caption(garment, shot, garment.words()),
                "class_word": garment.kind,
                "image": image,
                "mask": mask,
                "mask_source": "wardrobe",
                "width": side,
                "height": side,
                "cutout": cutout,
            }

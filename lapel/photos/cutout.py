"""A garment cut out of its photo: what an image tower is shown of it."""

from __future__ import annotations

from PIL import Image

MARGIN = 0.06
"""Of the cutout's side, left free on each side of the garment."""

LARGEST = 448
"""Pixels of a cutout's side: as many as image towers look at."""


def cut_out(photo: Image.Image, mask: Image.Image) -> Image.Image:
    """The garment of an RGB photo alone, on a white square, in its own shape: padded, neither cropped nor stretched.

    Args:
        mask: mode L, of the photo's size, the garment's share of each pixel.

    Returns:
        A square RGB image, of at most `LARGEST` pixels along a side. Where the mask is empty, the whole photo.
    """
    box = mask.point(lambda value: 255 if value >= 128 else 0).getbbox()
    alone = Image.composite(photo, Image.new("RGB", photo.size, "white"), mask) if box else photo
    garment = alone.crop(box) if box else alone
    side = round(max(garment.size) / (1 - 2 * MARGIN))
    square = Image.new("RGB", (side, side), "white")
    square.paste(garment, ((side - garment.width) // 2, (side - garment.height) // 2))
    return square if side <= LARGEST else square.resize((LARGEST, LARGEST), Image.Resampling.LANCZOS)

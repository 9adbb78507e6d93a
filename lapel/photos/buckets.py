"""Aspect buckets: the few sizes that photos are brought to, by scaling and cropping, never by stretching."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image

_LONGEST = 4.0
"""The most that a bucket's sides may differ, as long coats and scarves do."""


@dataclass(frozen=True)
class Crop:
    """A bucket of (width, height) pixels, and the box of the photo that fills it: left, top, right, bottom."""

    width: int
    height: int
    box: tuple[float, float, float, float]

    @property
    def enlargement(self) -> float:
        """Bucket pixels per photo pixel along a side; above 1, the photo is too small for its bucket."""
        return self.width / (self.box[2] - self.box[0])

    def cut(self, image: Image.Image) -> Image.Image:
        """The box of `image`, resampled to the bucket's size."""
        return image.resize((self.width, self.height), Image.Resampling.LANCZOS, box=self.box)


def bucket_sizes(resolution: int, multiple: int) -> list[tuple[int, int]]:
    """Every (width, height) of multiples of `multiple` with half to all of the area of `resolution` squared."""
    area = max(resolution, multiple) ** 2
    sides = range(multiple, int(math.sqrt(area * _LONGEST)) + 1, multiple)
    return [
        (width, height)
        for width in sides
        for height in sides
        if area / 2 <= width * height <= area and max(width, height) <= _LONGEST * min(width, height)
    ]


def choose_crop(size: tuple[int, int], garment: tuple[int, int, int, int], resolution: int, multiple: int) -> Crop:
    """The bucket that loses least of the photo, and the box that fills it.

    `size` is the photo's (width, height), `garment` the box of its mask. The box is the largest of the bucket's shape;
    it lies in the middle and moves only as far as the garment needs. What is weighed, in this order: garment cut
    off, then background cut off together with detail lost to a smaller area.
    """

    def cost(crop: Crop) -> tuple[float, float]:
        width, height = crop.box[2] - crop.box[0], crop.box[3] - crop.box[1]
        lost_photo = math.log(size[0] * size[1] / (width * height))
        lost_detail = math.log(resolution**2 / (crop.width * crop.height))
        return round(_share_outside(garment, crop.box), 2), lost_photo + 0.5 * lost_detail

    return min((_fill(size, garment, bucket) for bucket in bucket_sizes(resolution, multiple)), key=cost)


def _fill(size: tuple[int, int], garment: tuple[int, int, int, int], bucket: tuple[int, int]) -> Crop:
    scale = min(size[0] / bucket[0], size[1] / bucket[1])
    width, height = min(bucket[0] * scale, size[0]), min(bucket[1] * scale, size[1])
    left = _place(size[0], width, garment[0], garment[2])
    top = _place(size[1], height, garment[1], garment[3])
    return Crop(*bucket, (left, top, min(left + width, size[0]), min(top + height, size[1])))


def _place(whole: int, part: float, first: int, last: int) -> float:
    """Where a stretch of `part` starts in `whole` to be as central as it can and still hold first..last."""
    fits = last - first <= part
    start = min(max((whole - part) / 2, last - part), first) if fits else (first + last - part) / 2
    return min(max(start, 0.0), whole - part)


def _share_outside(inner: tuple[int, int, int, int], box: tuple[float, float, float, float]) -> float:
    width = max(min(inner[2], box[2]) - max(inner[0], box[0]), 0)
    height = max(min(inner[3], box[3]) - max(inner[1], box[1]), 0)
    return 1 - width * height / ((inner[2] - inner[0]) * (inner[3] - inner[1]))

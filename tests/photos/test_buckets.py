"""Buckets cut and scale, and never stretch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lapel.photos.buckets import bucket_sizes, choose_crop


@given(
    st.sampled_from([(96, 8), (96, 32), (512, 64), (1024, 64)]),
    st.integers(64, 5000),
    st.integers(64, 5000),
    st.data(),
)
def test_crop_keeps_shape_and_stays_in_the_photo(
    grid: tuple[int, int], width: int, height: int, data: st.DataObject
) -> None:
    resolution, multiple = grid
    left, top = data.draw(st.integers(0, width - 8)), data.draw(st.integers(0, height - 8))
    garment = (left, top, data.draw(st.integers(left + 8, width)), data.draw(st.integers(top + 8, height)))
    crop = choose_crop((width, height), garment, resolution, multiple)
    assert crop.width % multiple == crop.height % multiple == 0
    assert crop.width * crop.height <= resolution**2
    box_width, box_height = crop.box[2] - crop.box[0], crop.box[3] - crop.box[1]
    assert box_width / box_height == pytest.approx(crop.width / crop.height, rel=1e-6)
    assert crop.box[0] >= 0
    assert crop.box[1] >= 0
    assert crop.box[2] <= width + 1e-6
    assert crop.box[3] <= height + 1e-6
    # Only one direction is cut: the crop is the largest of its shape.
    assert box_width == pytest.approx(width) or box_height == pytest.approx(height)
    # A garment that fits into the crop is wholly in it.
    for first, last, low, high in ((0, 2, left, garment[2]), (1, 3, top, garment[3])):
        if high - low <= crop.box[last] - crop.box[first]:
            assert crop.box[first] <= low + 1e-6
            assert crop.box[last] >= high - 1e-6


def test_photo_of_a_buckets_shape_is_not_cut() -> None:
    crop = choose_crop((1080, 1440), (0, 0, 1080, 1440), 96, 8)
    assert (crop.width, crop.height) == (72, 96)
    assert crop.box == (0, 0, 1080, 1440)


def test_crop_moves_only_as_far_as_the_garment_needs() -> None:
    # With multiples as coarse as the size there is one bucket, a square: 300 of 400 columns fit.
    assert choose_crop((400, 300), (100, 0, 300, 300), 96, 96).box == (50, 0, 350, 300)
    assert choose_crop((400, 300), (20, 0, 120, 300), 96, 96).box == (20, 0, 320, 300)
    assert choose_crop((400, 300), (290, 0, 380, 300), 96, 96).box == (80, 0, 380, 300)


def test_circle_stays_round() -> None:
    across, down = np.meshgrid(np.arange(700), np.arange(1000))
    disc = Image.fromarray((((across - 350) ** 2 + (down - 500) ** 2 < 200**2) * 255).astype(np.uint8))
    for garment in ((150, 300, 550, 700), (0, 0, 700, 1000)):
        cut = choose_crop(disc.size, garment, 256, 32).cut(disc).point(lambda value: 255 * (value > 127))
        left, top, right, bottom = cut.getbbox()
        assert abs((right - left) - (bottom - top)) <= 1


def test_sizes_are_bounded() -> None:
    sizes = bucket_sizes(512, 64)
    assert (512, 512) in sizes
    assert (1024, 256) in sizes
    assert all(512**2 / 2 <= width * height <= 512**2 for width, height in sizes)


def test_enlargement_is_told() -> None:
    assert choose_crop((128, 128), (0, 0, 128, 128), 256, 32).enlargement == 2
    assert choose_crop((512, 512), (0, 0, 512, 512), 256, 32).enlargement == 0.5

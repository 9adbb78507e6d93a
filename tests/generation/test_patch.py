"""What is drawn anew is put back where it was, and nothing else of the photo changes: properties over random masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from lapel.generation.patch import PADDING, box_around, choose_patch, soften


def blob(width: int, height: int, seed: int) -> Image.Image:
    """A mask of a random ellipse, cut off by the photo's edge now and then."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    middle, half = rng.random(2) * (height, width), 1 + rng.random(2) * (height / 3, width / 3)
    inside = ((y - middle[0]) / half[0]) ** 2 + ((x - middle[1]) / half[1]) ** 2 <= 1
    inside[min(int(middle[0]), height - 1), min(int(middle[1]), width - 1)] = True
    return Image.fromarray(inside.astype(np.uint8) * 255)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(64, 700),
    st.integers(64, 700),
    st.integers(0, 2**31),
    st.integers(-6, 6),
    st.integers(0, 12),
    st.booleans(),
    st.sampled_from([None, 0, 20, 200]),
    st.sampled_from([(96, 32), (128, 64), (512, 64)]),
)
def test_every_pixel_outside_the_feathered_mask_is_the_photos(
    width: int,
    height: int,
    seed: int,
    grow: int,
    feather: int,
    keeps: bool,
    padding: int | None,
    base: tuple[int, int],
) -> None:
    rng = np.random.default_rng(seed)
    photo = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
    mask, kept = blob(width, height, seed), blob(width, height, seed + 1) if keeps else None
    alpha = soften(mask, grow, feather, kept)
    assume(alpha.any())  # what is shrunk or kept may leave nothing
    far = cv2.distanceTransform((np.asarray(mask) == 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    assert not alpha[far >= 1.5 * max(grow, 0) + feather + 1].any()
    assert kept is None or not alpha[np.asarray(kept) > 0].any()
    patch = choose_patch(box_around(alpha, padding), (width, height), *base, (None, None))
    left, top, right, bottom = patch.box
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    assert all(side % base[1] == 0 and side > 0 for side in patch.size)
    rows, columns = np.nonzero(alpha)
    assert left <= columns.min() and columns.max() < right and top <= rows.min() and rows.max() < bottom

    drawn = Image.new("RGB", patch.size, (255, 0, 255))
    result = np.asarray(patch.put_back(photo, drawn, alpha))
    assert (result[alpha == 0] == np.asarray(photo)[alpha == 0]).all()
    assert (result[alpha == 255] == (255, 0, 255)).all()


def test_a_mask_grows_shrinks_and_fades_by_pixels() -> None:
    mask = Image.new("L", (60, 60))
    mask.paste(255, (20, 20, 40, 40))
    assert (soften(mask, 0, 0) == np.asarray(mask)).all()
    assert (soften(mask, 3, 0)[30] > 0).sum() == 26
    assert (soften(mask, -3, 0)[30] > 0).sum() == 14
    faded = soften(mask, 0, 4)[30]
    assert (faded[20:40] == 255).all()
    assert list(faded[40:46]) == [204, 153, 102, 51, 0, 0]


def test_what_is_kept_is_never_drawn() -> None:
    mask, kept = Image.new("L", (60, 60)), Image.new("L", (60, 60))
    mask.paste(255, (20, 20, 40, 40))
    kept.paste(255, (20, 0, 40, 24))
    alpha = soften(mask, 2, 6, kept)
    assert not alpha[np.asarray(kept) > 0].any()
    assert (alpha[24:40, 20:40] == 255).all()


def test_a_thin_strap_is_not_lost_between_latents() -> None:
    alpha = np.zeros((512, 512), np.uint8)
    alpha[:, 255:257] = 255
    patch = choose_patch((0, 0, 512, 512), (512, 512), 64, 8, (None, None))
    assert patch.size == (64, 64)
    cells = patch.cells(alpha, 8)
    assert cells.shape == (64, 64)
    assert set(np.unique(cells)) == {0, 255}
    assert (cells.max(axis=0) > 0).sum() == 16  # the two columns of latents that it touches


def test_as_much_is_seen_around_as_the_mask_is_large() -> None:
    alpha = np.zeros((1000, 800), np.uint8)
    alpha[300:700, 350:450] = 255
    seen = round(PADDING * 400)
    assert box_around(alpha, None) == (350 - seen, 300 - seen, 450 + seen, 700 + seen)
    assert box_around(alpha, 0) == (350, 300, 450, 700)
    assert box_around(alpha, 10_000) == (0, 0, 800, 1000)


def test_the_patch_is_not_squeezed_where_the_photo_reaches() -> None:
    alpha = np.zeros((1000, 800), np.uint8)
    alpha[300:700, 350:450] = 255
    patch = choose_patch(box_around(alpha, 32), (800, 1000), 512, 64, (None, None))
    left, top, right, bottom = patch.box
    assert (right - left) / (bottom - top) == pytest.approx(patch.size[0] / patch.size[1], rel=0.01)

"""A flat garment is brought onto a body by two points, and its cloth goes on beyond its edge."""

import cv2
import numpy as np
import pytest

from lapel.errors import UserError
from lapel.photos.people.lay import axis_of, laid, placed, similarity
from lapel.photos.people.shape import shape_of
from lapel.wardrobe import photograph, sample_garment, sample_shot

SHIRT = shape_of("t-shirt", {})


def test_two_points_come_to_lie_on_two_others() -> None:
    source, target = ((3.0, 4.0), (5.0, 20.0)), ((-7.0, 2.0), (30.0, 11.0))
    place = similarity(source, target)
    for point, there in zip(source, target, strict=True):
        assert place @ (*point, 1) == pytest.approx(there)


def test_sleeves_and_necklines_do_not_move_a_garments_axis() -> None:
    mask = np.zeros((100, 120), bool)
    mask[20:90, 40:80] = True
    plain = axis_of(mask, SHIRT)
    assert plain == (pytest.approx((59.5, 20)), pytest.approx((59.5, 89)))
    mask[20:50, 52:68] = False  # a deep neckline
    mask[20:40, 10:40] = True  # a sleeve on one side
    assert axis_of(mask, SHIRT) == plain


@pytest.mark.parametrize("kind", ["skirt", "dress", "trousers", "shorts"])
def test_what_flares_or_parts_below_has_its_axis_from_top_to_hem(kind: str) -> None:
    for seed in [seed for seed in range(400) if sample_garment(seed).kind == kind][:12]:
        one = sample_garment(seed)
        mask = photograph(one, sample_shot(seed, one, "front", "white studio"), 192).mask >= 128
        rows = np.nonzero(mask.any(axis=1))[0]
        (_, top), (_, hem) = axis_of(mask, shape_of(kind, {}))
        assert hem == rows[-1]
        assert rows[0] <= top <= rows[0] + 0.15 * len(rows)


@pytest.mark.parametrize("kind", ["t-shirt", "skirt", "dress"])
def test_what_has_no_height_is_refused(kind: str) -> None:
    for mask in (np.zeros((9, 9), bool), np.eye(9, dtype=bool)[:1].repeat(2, axis=0)):
        with pytest.raises(UserError, match="shows none laid flat"):
            axis_of(mask, shape_of(kind, {}))


@pytest.mark.parametrize("kind", ["t-shirt", "skirt", "dress", "jumpsuit", "boot"])
def test_any_mask_has_an_axis_that_can_be_laid(kind: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        mask = rng.random((12, 14)) < rng.choice([0.03, 0.3, 0.9])
        mask[3, rng.integers(14)] = mask[9, rng.integers(14)] = True
        axis = axis_of(mask, shape_of(kind, {}))
        assert axis[0][1] < axis[1][1]
        assert np.isfinite(similarity(axis, ((0.0, 0.0), (3.0, 5.0)))).all()


def test_fine_patterns_are_averaged_where_they_become_small() -> None:
    stripes = np.zeros((600, 600), np.float32)
    stripes[(np.arange(600) // 3) % 2 == 0] = 255
    for scale in (0.1, 0.13):
        small = placed(stripes, np.array([[scale, 0, 0], [0, scale, 0]]), (60, 60), cv2.BORDER_REPLICATE)
        assert small.std() < 30
        assert small.mean() == pytest.approx(127.5, abs=3)
    ramp = np.tile(np.arange(600, dtype=np.float32), (600, 1))
    halved = placed(ramp, np.array([[0.5, 0, 0], [0, 0.5, 0]]), (300, 300), cv2.BORDER_REPLICATE)
    assert halved[150, 10:290] == pytest.approx(2 * np.arange(10, 290), abs=1e-3)


def test_cloth_lies_where_it_is_put_and_goes_on_as_it_ends() -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    mask = np.zeros((40, 50), bool)
    mask[10:30, 15:35] = True
    place = np.array([[1.0, 0, 3], [0, 1, -2]])
    put = laid(photo, mask, place, (60, 45))
    inner = (slice(12, 28), slice(17, 33))  # without the pixels at the edge
    assert put.shape == (45, 60, 3)
    assert (put[10:26, 20:36] == photo[inner]).all()
    assert (put[:10, 20:36] == photo[12, 17:33]).all()  # straight above, the uppermost row
    assert (put[10:26, 36:] == photo[12:28, 32][:, None]).all()


def test_a_garment_that_is_all_edge_is_still_laid() -> None:
    photo, mask = np.full((9, 9, 3), 7, np.uint8), np.zeros((9, 9), bool)
    mask[4, 4] = True
    photo[4, 4] = (1, 2, 3)
    assert (laid(photo, mask, np.eye(2, 3), (9, 9)) == (1, 2, 3)).all()

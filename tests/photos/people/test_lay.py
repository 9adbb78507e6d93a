"""A flat garment is brought onto a body by two points, and its cloth goes on beyond its edge."""

import numpy as np
import pytest

from lapel.photos.people.lay import axis_of, laid, similarity


def test_two_points_come_to_lie_on_two_others() -> None:
    source, target = ((3.0, 4.0), (5.0, 20.0)), ((-7.0, 2.0), (30.0, 11.0))
    place = similarity(source, target)
    for point, there in zip(source, target, strict=True):
        assert place @ (*point, 1) == pytest.approx(there)


def test_sleeves_and_necklines_do_not_move_a_garments_axis() -> None:
    mask = np.zeros((100, 120), bool)
    mask[20:90, 40:80] = True
    plain = axis_of(mask)
    assert plain == (pytest.approx((59.5, 20)), pytest.approx((59.5, 89)))
    mask[20:50, 52:68] = False  # a deep neckline
    mask[20:40, 10:40] = True  # a sleeve on one side
    assert axis_of(mask) == plain


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

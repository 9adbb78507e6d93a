"""Texture without colours: stripes are stripes in any dye, and their direction and period count."""

from __future__ import annotations

import numpy as np
import pytest

from lapel.fidelity import Structure, structure, structure_difference

RED, NAVY, WHITE, GREEN = (208, 32, 38), (24, 36, 92), (244, 244, 240), (30, 130, 64)


def stripes(first: tuple[int, ...], second: tuple[int, ...], period: int, down: bool = False) -> Structure:
    image = np.empty((96, 96, 3), np.uint8)
    lines = np.arange(96) % period < period / 2
    image[lines], image[~lines] = first, second
    return structure(image.transpose(1, 0, 2) if down else image, np.ones((96, 96), bool))


def test_the_same_is_nought() -> None:
    assert structure_difference(stripes(RED, WHITE, 16), [stripes(RED, WHITE, 16)]) == 0


def test_another_dye_hardly_counts() -> None:
    assert structure_difference(stripes(RED, WHITE, 16), [stripes(NAVY, WHITE, 16)]) < 0.15


def test_direction_and_period_count_and_more_the_further_off() -> None:
    here = stripes(RED, WHITE, 16)
    across = structure_difference(stripes(RED, WHITE, 16, down=True), [here])
    wider, widest = (structure_difference(stripes(RED, WHITE, period), [here]) for period in (20, 32))
    assert across > 0.6
    assert 0.1 < wider < widest


def test_an_edge_between_two_dyes_of_one_lightness_is_seen() -> None:
    plain = structure(np.full((96, 96, 3), GREEN, np.uint8), np.ones((96, 96), bool))
    assert structure_difference(stripes((200, 60, 60), (60, 130, 60), 16), [plain]) > 0.4


def test_near_and_far_garments_compare() -> None:
    image = np.full((96, 96, 3), 255, np.uint8)
    lines = np.arange(48) % 8 < 4
    image[24:72, 24:72][lines], image[24:72, 24:72][~lines] = RED, WHITE
    region = np.zeros((96, 96), bool)
    region[24:72, 24:72] = True
    assert structure_difference(structure(image, region), [stripes(RED, WHITE, 16)]) < 0.15


def test_the_nearest_of_several_counts() -> None:
    one, others = stripes(RED, WHITE, 16), [stripes(RED, WHITE, 30), stripes(RED, WHITE, 16)]
    assert structure_difference(one, others) == 0


def test_an_empty_region_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        structure(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), bool))

"""The score of a set of images: exact values, its uncertainty, and what counts as a gain."""

from __future__ import annotations

import numpy as np
import pytest

from lapel.fidelity.score import Marks, fidelity_marks, prompt_marks, score, sure_gain

PERFECT = {"colour": np.zeros(6), "structure": np.zeros(6), "identity": np.ones(6), "margin": np.full(6, 0.3)}


def marks(**changed: float) -> Marks:
    return {**PERFECT, **{name: np.full(6, value) for name, value in changed.items()}}


def test_a_perfect_set_scores_one_without_doubt() -> None:
    reached = score(PERFECT, PERFECT, 3)
    assert (reached.value, reached.low, reached.high) == (1, 1, 1)


def test_the_parts_are_as_documented() -> None:
    assert fidelity_marks(marks(colour=10, structure=0.4, identity=-1))[0] == pytest.approx((np.exp(-1) + 0.6) / 3)
    assert fidelity_marks({"colour": np.zeros(1), "structure": np.ones(1)})[0] == 0.5
    kept = prompt_marks(marks(margin=0.12), PERFECT, 3)
    assert kept is not None
    assert kept == pytest.approx(0.5)
    half = score(marks(margin=0.12), PERFECT, 3).value
    assert half == pytest.approx(2 * 0.5 / 1.5)


def test_fidelity_cannot_make_up_for_a_lost_prompt() -> None:
    assert score(marks(margin=0), PERFECT, 3).value == 0


def test_one_image_of_each_prompt_is_held_against_all_of_the_bases() -> None:
    base = {**PERFECT, "margin": np.array([0.2, 0.4, 0.1, 0.1, 0.5, 0.3])}
    kept = prompt_marks({"margin": np.array([0.12, 0.04, 0.8])}, base, 3)
    assert kept == pytest.approx([0.5, 0.5, 1])


def test_without_a_tower_it_is_fidelity_alone() -> None:
    plain = {"colour": np.full(4, 10.0), "structure": np.zeros(4)}
    assert score(plain, plain, 2).value == pytest.approx((np.exp(-1) + 1) / 2)


def test_the_interval_holds_the_value_and_narrows_with_more_images() -> None:
    def spread(count: int) -> float:
        colour = np.random.default_rng(0).uniform(0, 30, count)
        reached = score({"colour": colour, "structure": np.zeros(count)}, {}, 2)
        assert reached.low < reached.value < reached.high
        return reached.high - reached.low

    assert spread(64) < 0.5 * spread(6)


def test_only_a_gain_beyond_the_uncertainty_is_one() -> None:
    """Paired: seeds that differ much from each other do not hide a gain that all of them show."""
    earlier = {**PERFECT, "colour": np.array([2.0, 20, 5, 14, 3, 9])}
    better = {**earlier, "colour": earlier["colour"] - 1}
    mixed = {**earlier, "colour": earlier["colour"] + [4, -5, 4, -5, 4, -4]}
    assert sure_gain(better, earlier, PERFECT, 3, 0.9)
    assert not sure_gain(earlier, better, PERFECT, 3, 0.5)
    assert not sure_gain(earlier, earlier, PERFECT, 3, 0.5)
    assert not sure_gain(mixed, earlier, PERFECT, 3, 0.9)

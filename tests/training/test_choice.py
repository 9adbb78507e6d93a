"""Which photo is held out, which step is kept, when a run has had enough, and at which strength it is worn."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch

from lapel.fidelity.score import Marks
from lapel.training.choice import Choice, held_out
from lapel.training.run_settings import ChoiceSettings, StrengthSettings


def marks(colour: float) -> Marks:
    spread = np.array([0.0, 0.2, -0.2, 0.1])
    return {"colour": colour + spread, "structure": np.full(4, 0.1)}


def choice_of(colours: dict[int, float], patience: int = 2) -> tuple[Choice, torch.Tensor]:
    weight = torch.zeros(3)
    choice = Choice(ChoiceSettings(patience=patience), {"weight": weight}, prompts=2)
    choice.consider(0, marks(30))
    for step, colour in colours.items():
        weight.fill_(step)
        choice.consider(step, marks(colour))
    return choice, weight


def photos(*views: str, trust: float = 1.0) -> list[dict[str, Any]]:
    return [{"view": view, "mask_trust": trust} for view in views]


def test_of_five_photos_one_is_held_out_whose_view_is_seen_among_the_others() -> None:
    assert held_out(photos("front", "front", "back", "detail", "front")) == 4
    assert held_out(photos("front", "back", "side", "worn", "worn")) == 4
    assert held_out(photos("", "", "", "", "")) == 4


def test_none_is_held_out_of_four_nor_the_only_one_of_its_view_nor_a_detail() -> None:
    assert held_out(photos("front", "front", "front", "front")) is None
    assert held_out(photos("front", "back", "side", "detail", "detail")) is None


def test_a_photo_with_a_trusted_mask_is_held_out_before_others() -> None:
    rows = [*photos("front", "front", "back", "detail"), *photos("front", trust=0.4)]
    assert held_out(rows) == 1


def test_the_best_step_is_kept_and_its_weights_come_back() -> None:
    choice, weight = choice_of({10: 20, 20: 8, 30: 12})
    assert choice.step == 20
    choice.restore()
    assert weight.tolist() == [20, 20, 20]
    facts = choice.facts()
    assert facts["kept_step"] == 20
    assert facts["scores"]["colour"] == pytest.approx(8.025)
    assert facts["scores"]["score_low"] <= facts["scores"]["score"] <= facts["scores"]["score_high"]
    assert facts["base_scores"]["colour"] == pytest.approx(30.025)


def test_a_gain_within_the_uncertainty_replaces_nothing() -> None:
    choice, _ = choice_of({10: 8})
    noisy = {**marks(8), "colour": marks(8)["colour"] + [-2, 1.9, -2, 1.9]}
    choice.consider(20, noisy)
    assert choice.step == 10


def test_it_is_enough_when_no_gain_has_come_for_as_long_as_the_patience() -> None:
    assert not choice_of({10: 8, 20: 8})[0].enough
    assert choice_of({10: 8, 20: 8, 30: 8})[0].enough
    assert not choice_of({10: 8, 20: 8, 30: 4})[0].enough
    assert not choice_of({10: 8, 20: 8, 30: 8}, patience=0)[0].enough


def test_a_choice_read_back_from_a_checkpoint_goes_on_the_same() -> None:
    choice, weight = choice_of({10: 20, 20: 8})
    file = io.BytesIO()
    torch.save(choice.state_dict(), file)
    file.seek(0)
    again = Choice(choice.settings, {"weight": weight}, prompts=2)
    again.load_state_dict(torch.load(file, weights_only=True))
    assert again.knows(0)
    assert again.knows(20)
    assert not again.knows(30)
    weight.fill_(30)
    told = [one.consider(30, marks(7.9)) for one in (choice, again)]
    assert told[0] == told[1]
    assert choice.facts() == again.facts()
    weight.zero_()
    again.restore()
    assert weight.tolist() == [again.step] * 3


def test_another_strength_is_recommended_only_where_it_is_surely_better() -> None:
    choice, _ = choice_of({10: 8})
    assert choice.strength({0.6: marks(9), 0.8: marks(6)}) == 0.8
    assert choice.strength({0.6: marks(9)}) == 1


def test_settings_refuse_what_means_nothing() -> None:
    with pytest.raises(ValueError, match="patience"):
        ChoiceSettings(patience=-1)
    with pytest.raises(ValueError, match="strengths"):
        StrengthSettings([0.0])

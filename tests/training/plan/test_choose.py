"""What a plan chooses keeps the budget, costs no more than it must, and is refused where nothing keeps it."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from lapel.errors import UserError
from lapel.training.plan.choose import SPLIT, plan, smallest_levers
from lapel.training.plan.levers import Levers
from lapel.training.plan.phases import Block, Peak, Step
from lapel.training.plan.states import state_bytes

GIVEN = Levers((), 4, 1, "adamw8bit", "full", 2, False, None, False)
BLOCKS = (Block("down_blocks.0", 400, 0.02), Block("mid_block", 50, 0.05), Block("up_blocks.0", 300, 0.03))
WEIGHTS = {"full": 1000, "int8": 600, "nf4": 400}


class Machine:
    """A run whose memory is a formula, in the place of a predictor."""

    side, sampled, may_offload_text = 512, True, True

    def __init__(self, may_split: bool = True, may_stream: bool = True) -> None:
        self.steps, self.may_split, self.may_stream = 0, may_split, may_stream

    def frozen(self, levers: Levers) -> int:
        return 100 if levers.stream_weights else WEIGHTS[levers.frozen_weights]

    def encoding(self, levers: Levers) -> Peak:
        text = 0 if levers.offload_text else 200
        return Peak(self.frozen(levers) + text, temporary=(levers.vae_tile or 512) // 2)

    def sampling(self, levers: Levers) -> Peak:
        own = self.encoding(levers)
        pictures = 1 if levers.vae_slicing else levers.sample_batch
        return dataclasses.replace(own, temporary=own.temporary * pictures + 10 * levers.sample_batch)

    def step(self, levers: Levers) -> Step:
        self.steps += 1
        whole = levers.checkpoint == ("unet",)
        left = sum(block.kept for block in BLOCKS if not whole and block.name not in levers.checkpoint)
        peak = Peak(self.frozen(levers), 1000, 0, 0, (left + 100) * levers.batch_size // 4, 50)
        return Step(dataclasses.replace(peak, optimizer=state_bytes(levers.optimizer, 250)), BLOCKS)

    def peaks(self, levers: Levers) -> dict[str, Peak]:
        return {"encoding": self.encoding(levers), "step": self.step(levers).peak, "sampling": self.sampling(levers)}

    def needed(self, peaks: Any) -> int:
        return max(peak.total for peak in peaks)


def chosen(budget: int | None, precisions: Any = ("full", "int8", "nf4"), **changes: Any) -> Any:
    return plan(Machine(**changes), GIVEN, budget, precisions)  # type: ignore[arg-type]


def least(levers: Levers) -> int:
    """What a run takes in which everything is saved that these levers leave."""
    machine = Machine()
    return machine.needed(machine.peaks(smallest_levers(machine, levers)).values())  # type: ignore[arg-type]


def cost(levers: Levers) -> float:
    covered = BLOCKS if levers.checkpoint == ("unet",) else [b for b in BLOCKS if b.name in levers.checkpoint]
    return sum(block.share for block in covered) + SPLIT * (levers.gradient_accumulation.bit_length() - 1)


def test_what_fits_is_left_alone() -> None:
    assert chosen(None).levers == GIVEN
    assert chosen(10_000).levers == GIVEN


def test_the_cheapest_that_fits_is_chosen() -> None:
    """Against all subsets of blocks and all splits, tried one by one."""
    machine = Machine()
    subsets = [subset for count in range(4) for subset in itertools.combinations([b.name for b in BLOCKS], count)]
    every = [
        dataclasses.replace(GIVEN, checkpoint=subset, batch_size=size, gradient_accumulation=4 // size)
        for subset in subsets
        for size in (4, 2, 1)
    ]
    for budget in range(4700, 5500, 25):
        fitting = [levers for levers in every if machine.step(levers).peak.total <= budget]
        if not fitting:
            continue
        made = chosen(budget)
        assert made.needed <= budget
        assert made.levers.frozen_weights == "full"
        # Blocks are covered in the order of what they save for their cost: a later one alone may do for less.
        assert cost(made.levers) <= min(map(cost, fitting)) + max(block.share for block in BLOCKS) + 1e-9


@pytest.mark.parametrize("weights", ["full", "int8"])
def test_fewer_bits_come_only_when_nothing_else_helps(weights: Any) -> None:
    enough = least(dataclasses.replace(GIVEN, frozen_weights=weights))
    assert chosen(enough).levers.frozen_weights == weights
    assert chosen(enough - 1).levers.frozen_weights != weights


def test_weights_are_streamed_whole_and_only_when_fewer_bits_do_not_help_either() -> None:
    in_place = least(dataclasses.replace(GIVEN, frozen_weights="nf4"))
    assert not chosen(in_place).levers.stream_weights
    made = chosen(in_place - 1)
    assert (made.levers.stream_weights, made.levers.frozen_weights) == (True, "full")
    assert made.needed < in_place
    with pytest.raises(UserError, match="does not fit"):
        chosen(in_place - 1, may_stream=False)
    with pytest.raises(UserError, match="does not fit"):
        chosen(least(dataclasses.replace(GIVEN, stream_weights=True)) - 1)


def test_what_is_given_to_stream_goes_on_to() -> None:
    given = dataclasses.replace(GIVEN, stream_weights=True)
    assert plan(Machine(), given, 10_000, ("full", "nf4")).levers == given  # type: ignore[arg-type]


def test_a_budget_that_nothing_keeps_is_refused_with_the_nearest_that_holds() -> None:
    with pytest.raises(UserError, match=r"does not fit.*nearest budget that holds is 0.1GB"):
        chosen(100)


def test_a_step_that_cannot_be_split_is_not() -> None:
    whole = Machine(may_split=False, may_stream=False)
    smallest = smallest_levers(whole, GIVEN)  # type: ignore[arg-type]
    assert (smallest.batch_size, smallest.gradient_accumulation) == (4, 1)
    least = whole.needed(whole.peaks(smallest).values())
    assert plan(whole, GIVEN, least, ("full",)).levers.batch_size == 4  # type: ignore[arg-type]
    with pytest.raises(UserError, match="does not fit"):
        plan(whole, GIVEN, least - 1, ("full",))  # type: ignore[arg-type]

"""Choose what makes a run fit into a budget at the least cost in time."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lapel.base.settings import FrozenWeights
from lapel.errors import UserError
from lapel.training.plan.levers import Levers
from lapel.training.plan.phases import Block, Peak, Step
from lapel.training.plan.predict import Predictor
from lapel.training.plan.states import state_bytes
from lapel.training.settings import OptimizerName

SPLIT = 0.1
"""What each halving of a batch into passes after each other costs, as a share of a step: launches that a GPU does not
fill. An assumption that orders the choice; what fits is never assumed."""


@dataclass(frozen=True)
class Plan:
    """What was chosen, and what it takes."""

    levers: Levers
    peaks: dict[str, Peak]
    needed: int
    """Bytes of the device, allowances included."""
    allocated: int
    """Bytes of tensors at most: what `torch.cuda.max_memory_allocated` will tell."""
    budget: int | None
    slower: float
    """What a step computes beyond the plain one, as a share of it; what fewer bits cost is not in it."""


def plan(predictor: Predictor, given: Levers, budget: int | None, precisions: Sequence[FrozenWeights]) -> Plan:
    """The given levers where they fit, else those that add least time; without a budget, the given ones.

    Args:
        precisions: in which the frozen weights may be kept, the exactest first.

    Raises:
        UserError: nothing fits; with the nearest budget that would.
    """
    if budget is None:
        return _plan(predictor, given, None, 0.0)
    ways = list(_ways(predictor, given, precisions))
    for levers in ways:
        beside = _first(_beside(predictor, levers), lambda one: _fits_beside(predictor, one, budget))
        if beside is None:
            continue
        found = _step(predictor, beside, budget)
        if found is not None:
            return _plan(predictor, found[0], budget, found[1])
    smallest = (smallest_levers(predictor, levers) for levers in ways)
    least = min(predictor.needed(predictor.peaks(levers).values()) for levers in smallest)
    nearest = math.ceil(least / 1e8) / 10
    raise UserError(
        f"memory_budget {budget / 1e9:g}GB: the run does not fit, whatever is saved; the nearest budget that holds is "
        f"{nearest:g}GB, or take a smaller --resolution or --rank"
    )


def _ways(predictor: Predictor, given: Levers, precisions: Sequence[FrozenWeights]) -> Iterator[Levers]:
    """Where and how the frozen weights may lie, from what costs nothing on."""
    if given.stream_weights:
        yield given
        return
    for weights in precisions[precisions.index(given.frozen_weights) :]:
        yield dataclasses.replace(given, frozen_weights=weights)
    if predictor.may_stream and given.frozen_weights == "full":
        yield dataclasses.replace(given, stream_weights=True)


def _plan(predictor: Predictor, levers: Levers, budget: int | None, slower: float) -> Plan:
    peaks = predictor.peaks(levers)
    allocated = max(peak.total for peak in peaks.values())
    return Plan(levers, peaks, predictor.needed(peaks.values()), allocated, budget, slower)


def _first(candidates: Iterator[Levers], fits: Callable[[Levers], bool]) -> Levers | None:
    return next((one for one in candidates if fits(one)), None)


def _fits_beside(predictor: Predictor, levers: Levers, budget: int) -> bool:
    peaks = [predictor.encoding(levers), *([predictor.sampling(levers)] if predictor.sampled else [])]
    return predictor.needed(peaks) <= budget


def _beside(predictor: Predictor, levers: Levers) -> Iterator[Levers]:
    """What may be done beside the step, each on top of the others, in the order of its cost."""
    yield levers
    if levers.sample_batch > 1:
        levers = dataclasses.replace(levers, vae_slicing=True)
        yield levers
        levers = dataclasses.replace(levers, sample_batch=1)
        yield levers
    if predictor.may_offload_text and not levers.offload_text:
        levers = dataclasses.replace(levers, offload_text=True)
        yield levers
    for tile in (predictor.side // 2, predictor.side // 4):
        if tile % 64 == 0 and (levers.vae_tile is None or tile < levers.vae_tile):
            levers = dataclasses.replace(levers, vae_tile=tile)
            yield levers


def smallest_levers(predictor: Predictor, levers: Levers) -> Levers:
    """Everything saved that can be."""
    *_, levers = _beside(predictor, levers)
    optimizer = "adamw8bit" if levers.optimizer == "adamw" else levers.optimizer
    levers = dataclasses.replace(levers, checkpoint=("unet",), optimizer=optimizer)
    if not predictor.may_split:
        return levers
    passes = levers.batch_size * levers.gradient_accumulation
    return dataclasses.replace(levers, batch_size=1, gradient_accumulation=passes)


def _step(predictor: Predictor, levers: Levers, budget: int) -> tuple[Levers, float] | None:
    """The cheapest levers with which a step fits, and their cost; None where none does.

    A first run of the shadow tells what each block keeps and computes. An estimate from that orders the candidates; the
    shadow's own run decides.
    """
    survey = predictor.step(levers)
    if predictor.needed([survey.peak]) <= budget:
        return levers, 0.0
    off = 1.0
    for cost, one, guess in sorted(
        _candidates(levers, survey, predictor.may_split), key=lambda candidate: candidate[0]
    ):
        estimate = predictor.needed([guess])
        if off * estimate > budget and one.checkpoint != ("unet",):
            continue
        needed = predictor.needed([predictor.step(one).peak])
        if needed <= budget:
            return one, cost
        off = max(off, needed / estimate)
    return None


def _candidates(levers: Levers, survey: Step, may_split: bool) -> Iterator[tuple[float, Levers, Peak]]:
    """Cost, levers, and about their peak: blocks checkpointed, those first that keep most for what they compute."""
    blocks = [] if levers.checkpoint else sorted(survey.blocks, key=lambda block: block.share / max(1, block.kept))
    least = 1 if may_split else levers.batch_size
    sizes = [size for size in range(levers.batch_size, least - 1, -1) if levers.batch_size % size == 0]
    optimizers = dict.fromkeys([levers.optimizer, "adamw8bit" if levers.optimizer == "adamw" else levers.optimizer])
    for count in range(len(blocks) + 1):
        covered = blocks[:count]
        names = ("unet",) if covered and count == len(blocks) else tuple(block.name for block in covered)
        for size, (number, optimizer) in itertools.product(sizes, enumerate(optimizers)):
            split = levers.batch_size // size
            one = dataclasses.replace(
                levers,
                checkpoint=names or levers.checkpoint,
                batch_size=size,
                gradient_accumulation=levers.gradient_accumulation * split,
                optimizer=optimizer,
            )
            # 0.01: between two that cost the same, the optimizer stays as it is.
            cost = sum(block.share for block in covered) + SPLIT * math.log2(split) + 0.01 * number
            yield cost, one, _guess(survey.peak, covered, split, optimizer)


def _guess(peak: Peak, covered: Sequence[Block], split: int, optimizer: OptimizerName) -> Peak:
    """About the peak of a step in parts: what covered blocks keep goes, but a third of the largest comes back."""
    kept = peak.activations - sum(block.kept for block in covered)
    again = max((block.kept for block in covered), default=0) // 3
    states = state_bytes(optimizer, peak.trainable // 4)
    return dataclasses.replace(
        peak, activations=kept // split, temporary=(peak.temporary + again) // split, optimizer=states
    )

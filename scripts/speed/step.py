"""Seconds of a training step, ours against the base line's, with random weights of the true shape.

Both lie in one process and step in turn. `peak` is the most that tensors hold at once, weights included; `share` is
what the step computes, without what checkpointing computes again, over the time and over the rate of a large product
of matrices in the same precision, measured in between.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evaluation.memory_check import random_base
from evaluation.memory_table import BASES, with_changes
from evaluation.planned import recipe_of, settings_of
from evaluation.results import write_figures, write_table
from lapel.base.settings import Precision

if TYPE_CHECKING:
    import torch

    from lapel.base.base import Base
    from lapel.training.facts import Settings
    from lapel.training.loop import Lesson
    from lapel.training.objective import Objective
    from lapel.training.plan.phases import Phases, Recipe


@dataclass
class StepSettings:
    """Which steps are measured."""

    output_dir: Path = Path("runs/benchmark")
    """Takes `step.md` and `step.json`."""

    shape: Literal["sd15", "sdxl", "tiny"] = "sd15"
    """Of the base; `sdxl` is measured without the base line."""

    sizes: list[int] = field(default_factory=lambda: [256, 512])
    """Sides of the pictures in pixels."""

    batch_size: int = 1
    """Photos in a step."""

    rank: int = 16
    """Of the adapter."""

    precision: Precision = "bf16"
    """Of the base, and of the step."""

    gradient_checkpointing: bool = False
    """Compute the whole UNet's activations again, in both."""

    outside: Literal["photo", "base"] = "photo"
    """What our loss compares with outside the mask. photo: as the base line does. base: lapel's default, for which the
    base itself is asked as well: a third more to compute."""

    steps: int = 5
    """That are measured, after one that is not; the median counts."""

    levers: bool = False
    """Measure our step without each of its levers too, and without all of them; on a processor, at `sd15`."""

    matrix: int = 4096
    """Side of the matrices whose product tells the hardware's rate."""

    def __post_init__(self) -> None:
        if self.levers and self.shape != "sd15":
            raise ValueError("levers are measured at shape sd15")
        if min([*self.sizes, self.batch_size, self.steps, self.matrix]) < 1:
            raise ValueError("sizes, batch_size, steps and matrix must be 1 or more")


def measure_step(settings: StepSettings) -> None:
    """Measure every size, print the table, and write it with the machine."""
    import torch

    from speed.machine import machine, machine_words, sayable

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    facts, rows = machine(device), []
    for side in settings.sizes:
        rows.append({"side": side, **_measure(settings, side, device)})
        write_figures(settings.output_dir, "step", {"machine": facts, "settings": sayable(settings), "rows": rows})
    write_table(settings.output_dir, "step", [machine_words(facts), "", *table_lines(settings, rows)])


def table_lines(settings: StepSettings, rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each size and each of the two."""
    yield "| step | seconds | images/s | peak, GB | TFLOP | share of the rate | speed over the plain loop |"
    yield "|" + "---|" * 7
    for row in rows:
        words = f"{settings.shape}, {row['side']} px, batch {settings.batch_size}, rank {settings.rank}"
        words += f", {settings.precision}" + (", checkpointed" if settings.gradient_checkpointing else "")
        for name, found in row.items():
            if not isinstance(found, dict):
                continue
            peak = f"{found['peak'] / 1e9:.2f}" if found["peak"] else ""
            figures = [f"{found['seconds']:.3f}", f"{settings.batch_size / found['seconds']:.3f}", peak]
            figures += [f"{found['flops'] / 1e12:.3f}", f"{found['share']:.2f}"]
            ratio = row["plain"]["seconds"] / found["seconds"] if "plain" in row else None
            yield f"| {words}, {name} | {' | '.join(figures)} | {'' if ratio is None else f'{ratio:.2f}'} |"


def _measure(settings: StepSettings, side: int, device: torch.device) -> dict[str, Any]:
    import torch

    from lapel.base.base import DTYPES
    from speed.levers import LEVERS, turn
    from speed.machine import matrix_rate, seconds

    steps: dict[str, Callable[[], Any]] = {}
    prepare: dict[str, Callable[[], Any]] = {}
    counts: dict[str, dict[str, int]] = {}
    ours = trainer_settings(settings, side)
    # Both at once, so that they step in turn: what the machine does meanwhile meets both.
    if settings.shape != "sdxl":
        steps["plain"], counts["plain"] = plain_step(ours, settings, side, device)
    steps["ours"], counts["ours"], unet = our_step(ours, device)
    if settings.levers:
        prepare["ours"] = functools.partial(turn, unet, set())
        left_out = {f"without {name}": {name} for name in LEVERS} | {"without all": set(LEVERS)}
        for name, levers in left_out.items():
            # What each alone would hold at most is not counted.
            steps[name], counts[name] = steps["ours"], {**counts["ours"], "peak": 0}
            prepare[name] = functools.partial(turn, unet, levers)
    taken: dict[str, list[float]] = {name: [] for name in steps}
    rates = []
    torch.manual_seed(0)
    for number in range(settings.steps + 1):
        rates.append(matrix_rate(device, DTYPES[settings.precision], settings.matrix, times=2))
        for name, step in steps.items():
            if name in prepare:
                prepare[name]()
                step()  # what is laid out anew is cold at first
            once = seconds(device, step)
            if number:
                taken[name].append(once)
    rate = max(rates)
    found: dict[str, Any] = {"matrix_rate": rate}
    for name, times in taken.items():
        median = statistics.median(times)
        share = counts[name]["flops"] / median / rate
        found[name] = {"seconds": median, "all_seconds": times, "share": share, **counts[name]}
    return found


def trainer_settings(settings: StepSettings, side: int) -> Settings:
    """Those of a run that takes such steps."""
    (usual,) = settings_of("lora")
    return with_changes(
        usual,
        base=BASES.get(settings.shape, settings.shape),
        resolution=side,
        batch_size=settings.batch_size,
        rank=settings.rank,
        precision=settings.precision,
        gradient_checkpointing=settings.gradient_checkpointing,
        outside=settings.outside,
        caption_dropout=0.0,
        warmup=0.0,
    )


def our_step(settings: Settings, device: torch.device) -> tuple[Callable[[], Any], dict[str, int], Any]:
    """A step of `trainers/lora.py`'s loop; its peak, counted in a step before, and what it computes; its UNet."""
    from lapel.training.loop import take_step
    from lapel.training.objective import Objective
    from lapel.training.optimizer import make_optimizer

    base, _ = random_base(settings, with_text=False)
    base.unet.to(device)
    recipe = _recipe(settings)
    recipe.inject(base)
    phases = _phases(base, recipe, settings)
    objective = Objective(base.scheduler, settings.objective).to(device)
    optimizer = make_optimizer(phases.trainable, settings.optimizer)
    lesson = _lesson(phases, settings, objective, optimizer)
    peak = phases.step(objective, settings.optimizer.batch_size, optimizer).peak.total

    hollow = _hollow(settings)
    objective = Objective(hollow.scheduler, settings.objective)
    recipe.inject(hollow)
    with _shadow(hollow):
        flops = _phases(hollow, recipe, settings).step(objective, settings.optimizer.batch_size).flops
    return lambda: take_step(lesson, settings.optimizer), {"peak": peak, "flops": flops}, base.unet


def _recipe(settings: Settings) -> Recipe:
    """The trainer's, over photos that have captions."""
    from lapel.training.plan.phases import photo_batch

    def captioned(base: Base, size: int, side: int) -> Any:
        batch = photo_batch(base, size, side)
        moved = {name: part.to(base.device) for name, part in vars(batch).items() if hasattr(part, "to")}
        return dataclasses.replace(batch, **moved, dropped=[])

    return dataclasses.replace(recipe_of(settings), batch=captioned)


def _phases(base: Base, recipe: Recipe, settings: Settings) -> Phases:
    from lapel.training.plan.phases import Phases

    assert settings.base.precision and settings.photos.resolution
    return Phases(base, recipe, settings.base.precision, settings.photos.resolution, gpu=False)


def _hollow(settings: Settings) -> Base:
    """The base without numbers, to count on: nothing is computed again."""
    import torch

    from lapel.base.hollow import hollow_base

    return hollow_base(dataclasses.replace(settings.base, gradient_checkpointing=False), torch.device("cpu"))


def _shadow(base: Base) -> Any:
    from lapel.training.plan.shadow import cast_shadow

    return cast_shadow(base.unet, base.vae, *base.text_encoders)


def _lesson(phases: Phases, settings: Settings, objective: Objective, optimizer: torch.optim.Optimizer) -> Lesson:
    """As the trainer makes it, over random latents and captions."""
    import torch
    from accelerate import Accelerator
    from accelerate.utils import AutocastKwargs

    from lapel.base.base import UNCACHED
    from lapel.training.checkpoint import trained_weights
    from lapel.training.data import Batches, Example
    from lapel.training.loop import make_lesson
    from lapel.training.predict import predictor

    base, count, precision = phases.base, settings.optimizer.batch_size, settings.base.precision
    mixed = "no" if precision == "fp32" else precision
    accelerator = Accelerator(mixed_precision=mixed, kwargs_handlers=[AutocastKwargs(**UNCACHED)])
    shape = phases.recipe.batch(base, 1, phases.side).latents.shape[1:]
    mean, std, mask = torch.zeros(shape), torch.ones(shape), torch.ones(1, *shape[1:])
    examples = [Example(f"{number}.jpg", "a", mean, std, mask) for number in range(count)]
    drawing: dict[str, Any] = {"seed": 0, "batch_size": count, "timesteps": objective.timesteps, "device": base.device}
    batches = Batches(examples, **drawing)
    table = phases.cached_text(torch.arange(len(batches.captions)))
    table = {name: torch.randn_like(rows).to(base.device) for name, rows in table.items()}
    predict = predictor(base, lambda captions: {name: rows[captions] for name, rows in table.items()}, accelerator)
    loss = phases.recipe.loss(base, objective, predict, None)
    weights = trained_weights(base)
    return make_lesson(accelerator, batches, loss, phases.trainable, weights, settings.optimizer, {}, optimizer)


def plain_step(
    ours: Settings, settings: StepSettings, side: int, device: torch.device
) -> tuple[Callable[[], Any], dict[str, int]]:
    """A step of the base line over the same layers; its peak, counted in a step before, and what it computes."""
    import torch

    from lapel.adapters.targets import layer_sizes
    from lapel.training.plan.ledger import Ledger, tensors_of
    from speed.plain import PlainStep, adapt

    def step_of(base: Base) -> tuple[PlainStep, Callable[[], Any]]:
        plain = PlainStep(base.unet, base.vae, base.text_encoders[0], base.scheduler)
        pixels = torch.rand(settings.batch_size, 3, side, side) * 2 - 1
        tokens = torch.zeros(settings.batch_size, 77, dtype=torch.int64, device=base.device)
        return plain, lambda: plain(pixels, tokens)

    base, _ = random_base(ours, with_text=True)
    targets = [name.removeprefix("unet.") for name in layer_sizes(base.models, ours.adapter)]
    for model in (base.unet, base.vae, *base.text_encoders):
        model.to(device)
    adapt(base.unet, targets, settings.rank)
    plain, step = step_of(base)
    step()  # makes the optimizer's states
    with Ledger() as ledger:
        states = [value for state in plain.optimizer.state.values() for value in state.values()]
        ledger.hold([*tensors_of(*plain.models), *states])
        step()

    hollow = _hollow(ours)
    adapt(hollow.unet, targets, settings.rank)
    _ = hollow.scheduler  # whose tables are numbers
    with _shadow(hollow):
        _, shadow = step_of(hollow)
        with Ledger() as counting:
            shadow()
    return step, {"peak": ledger.peak, "flops": counting.flops}

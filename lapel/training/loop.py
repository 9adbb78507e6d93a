"""The loop that every trainer runs: steps, readings, evaluations, checkpoints, and an end at any time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from lapel.settings import write_settings
from lapel.training.average import Average
from lapel.training.checkpoint import State, load_checkpoint, save_checkpoint
from lapel.training.clock import Clock
from lapel.training.data import Batch
from lapel.training.facts import AllSettings
from lapel.training.launch import any_process, asked_to_stop
from lapel.training.optimizer import Trainable, make_optimizer, make_schedule
from lapel.training.readings import Progress, Readings
from lapel.training.run_folder import RunFolder
from lapel.training.run_settings import RunSettings
from lapel.training.settings import OptimizerSettings
from lapel.training.spill import SpillGuard, warn
from lapel.training.stopping import leave, stop_requests

if TYPE_CHECKING:
    from accelerate import Accelerator


class Source(Protocol):
    """Where batches come from: a pure function of the step, and of the part of it under gradient accumulation."""

    def draw(self, step: int, part: int = 0) -> Batch: ...


class Evaluated(Protocol):
    """What is drawn, and measured of it, on the way."""

    @property
    def enough(self) -> bool:
        """Whether nothing more is to be gained."""

    def at(self, step: int) -> Mapping[str, float]:
        """Draw the samples of a step, and give what was measured on them."""


@dataclass
class Lesson:
    """What a step works with, whatever it is that is learned."""

    accelerator: Accelerator
    batches: Source
    loss: Callable[[Any], Tensor]
    """The mean loss of a batch, a scalar with a gradient: what the trainer is about."""
    trainable: Trainable
    optimizer: Any
    schedule: Any
    state: State
    average: Average | None = None
    """Of the trained weights, where one is kept."""


def make_lesson(
    accelerator: Accelerator,
    batches: Source,
    loss: Callable[[Any], Tensor],
    trainable: Trainable,
    weights: Mapping[str, torch.nn.Parameter],
    settings: OptimizerSettings,
    identity: Mapping[str, str],
    optimizer: torch.optim.Optimizer | None = None,
    average: Average | None = None,
    **moving: Any,
) -> Lesson:
    """Optimizer, schedule and state around what is learned.

    Args:
        trainable: what is trained, in a fixed order.
        weights: the same by name, as checkpoints hold them.
        identity: what a run that resumes must share with this one.
        optimizer: over `trainable`; the one that the settings name unless given.
        average: of the trained weights, where one is kept.
        moving: what else changes on the way, and is kept in checkpoints.
    """
    optimizer = optimizer or make_optimizer(trainable, settings)
    schedule = make_schedule(optimizer, settings)
    optimizer = accelerator.prepare(optimizer)
    moving |= {"optimizer": optimizer, "schedule": schedule}
    if accelerator.scaler is not None:
        moving["scaler"] = accelerator.scaler
    if average is not None:
        moving["average"] = average
    return Lesson(accelerator, batches, loss, trainable, optimizer, schedule, State(weights, moving, identity), average)


def begin(lesson: Lesson, settings: AllSettings, folder: RunFolder, checkpoint: Path | None) -> None:
    """Go on from the checkpoint, or clear what an earlier run left; and write down what repeats this one."""
    if checkpoint is not None:
        load_checkpoint(checkpoint, lesson.state)
    if lesson.accelerator.is_main_process:
        if checkpoint is None:
            folder.clear()
        kept = dataclasses.replace(settings.run, output_dir=folder.path, resume=False, overwrite=False)
        write_settings(folder.settings, *dataclasses.replace(settings, run=kept).each())


def learn(
    lesson: Lesson,
    optimizer: OptimizerSettings,
    run: RunSettings,
    folder: RunFolder,
    clock: Clock,
    evaluation: Evaluated,
) -> None:
    """From where the state is to the last step, or to where it is enough; log, evaluate and save on the way.

    Args:
        lesson: what is learned.
        optimizer, run, folder: as the user has them.
        clock: gets the phases `step` and `save`, and those of the evaluation.
        evaluation: of the steps that are due.

    Raises:
        SystemExit: after a signal, once the state is saved.
        UserError: a loss or gradient that is not finite.
    """
    accelerator, state, last = lesson.accelerator, lesson.state, optimizer.steps
    accelerator.init_trackers(folder.tensorboard.name)
    readings, guard = Readings(scaled=accelerator.scaler is not None), SpillGuard(accelerator.device)

    def due(every: int) -> bool:
        return bool(every) and (state.step % every == 0 or state.step == last)

    def evaluate() -> Mapping[str, float]:
        return evaluation.at(state.step) if accelerator.is_main_process and due(run.sample_every) else {}

    # The base is looked at before the first step; and a signal may have come before an evaluation that was due.
    if measured := evaluate():
        accelerator.log(dict(measured), state.step)
    enough = any_process(accelerator, evaluation.enough)
    with stop_requests() as stop, Progress(state.step, last, accelerator.is_main_process) as progress:
        while state.step < last and not enough:
            with clock.phase("step"):
                files, loss, norm = take_step(lesson, optimizer)
                readings.add(state.step, files, loss, norm)
            signal = asked_to_stop(accelerator, stop.signal, state.step, run.log_every)
            evaluating = due(run.sample_every) and not signal
            if due(run.log_every) or due(run.checkpoint_every) or evaluating or signal:
                with clock.phase("step"):
                    values = readings.read(lambda tensor: accelerator.reduce(tensor, "mean"))
                warn(guard.look(state.step, clock.seconds["step"]))
                rate = {"learning_rate": lesson.schedule.get_last_lr()[0]}
                accelerator.log({**values, **rate, **(evaluate() if evaluating else {})}, state.step)
                progress.tell(state.step, values["loss"])
            enough = evaluating and any_process(accelerator, evaluation.enough)
            saving = due(run.checkpoint_every) or (enough and run.checkpoint_every) or signal
            if saving and accelerator.is_main_process:
                with clock.phase("save"):
                    save_checkpoint(folder.checkpoints, state, run.keep_checkpoints)
            if signal:
                leave(signal, state.step, folder.path)


def take_step(lesson: Lesson, settings: OptimizerSettings) -> tuple[list[str], Tensor, Tensor]:
    """One step of the optimizer; returns the photos it saw, their mean loss, and the gradient's norm."""
    accelerator, files, losses = lesson.accelerator, [], []
    for part in range(settings.gradient_accumulation):
        batch = lesson.batches.draw(lesson.state.step, part)
        loss = lesson.loss(batch)
        accelerator.backward(loss / settings.gradient_accumulation)
        files += batch.files
        losses.append(loss.detach())

    if accelerator.num_processes > 1:
        lesson.trainable.average(lambda gradient: accelerator.reduce(gradient, "mean"))
    accelerator.unscale_gradients(lesson.optimizer)
    norm = lesson.trainable.clip(settings.max_grad_norm)
    lesson.optimizer.step()
    lesson.schedule.step()
    lesson.trainable.clear()
    if lesson.average is not None:
        lesson.average.step()
    lesson.state.step += 1
    return files, torch.stack(losses).mean(), norm

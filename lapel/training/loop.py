"""The loop that every trainer runs: steps, readings, evaluations, checkpoints, and an end at any time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lapel.training.checkpoint import State, save_checkpoint
from lapel.training.clock import Clock
from lapel.training.data import Batch, Batches
from lapel.training.evaluation import Evaluation
from lapel.training.launch import any_process, asked_to_stop
from lapel.training.optimizer import Trainable
from lapel.training.readings import Progress, Readings
from lapel.training.run_folder import RunFolder
from lapel.training.settings import OptimizerSettings, RunSettings
from lapel.training.stopping import leave, stop_requests

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass
class Lesson:
    """What a step works with, whatever it is that is learned."""

    accelerator: Accelerator
    batches: Batches
    loss: Callable[[Batch], Tensor]
    """The mean loss of a batch, a scalar with a gradient: what the trainer is about."""
    trainable: Trainable
    optimizer: Any
    schedule: Any
    state: State


def learn(
    lesson: Lesson,
    optimizer: OptimizerSettings,
    run: RunSettings,
    folder: RunFolder,
    clock: Clock,
    evaluation: Evaluation,
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
    readings = Readings(scaled=accelerator.scaler is not None)

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

    gradient = lesson.trainable.gradient
    if accelerator.num_processes > 1:
        gradient.copy_(accelerator.reduce(gradient, "mean"))
    accelerator.unscale_gradients(lesson.optimizer)
    norm = lesson.trainable.clip(settings.max_grad_norm)
    lesson.optimizer.step()
    lesson.schedule.step()
    gradient.zero_()
    lesson.state.step += 1
    return files, torch.stack(losses).mean(), norm

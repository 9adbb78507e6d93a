"""The loop that every trainer runs: steps, readings, samples, checkpoints, and an end at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lapel.training.checkpoint import State, save_checkpoint
from lapel.training.clock import Clock
from lapel.training.data import Batch, Batches
from lapel.training.launch import asked_to_stop
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
    draw: Callable[[int], object],
) -> None:
    """From where the state is to the last step; log, sample and save on the way.

    Args:
        lesson: what is learned.
        optimizer, run, folder: as the user has them.
        clock: gets the phases `step`, `sample` and `save`.
        draw: draws the samples of a step.

    Raises:
        SystemExit: after a signal, once the state is saved.
        UserError: a loss or gradient that is not finite.
    """
    accelerator, state, last = lesson.accelerator, lesson.state, optimizer.steps
    accelerator.init_trackers(folder.tensorboard.name)
    readings = Readings(scaled=accelerator.scaler is not None)

    def due(every: int) -> bool:
        return bool(every) and (state.step % every == 0 or state.step == last)

    def sample() -> None:
        if accelerator.is_main_process and due(run.sample_every):
            with clock.phase("sample"):
                draw(state.step)

    if state.step == 0:
        sample()
    with stop_requests() as stop, Progress(state.step, last, accelerator.is_main_process) as progress:
        while state.step < last:
            with clock.phase("step"):
                files, loss, norm = take_step(lesson, optimizer)
                readings.add(state.step, files, loss, norm)
            signal = asked_to_stop(accelerator, stop.signal, state.step, run.log_every)
            saving = due(run.checkpoint_every) or signal
            if due(run.log_every) or saving:
                with clock.phase("step"):
                    values = readings.read(lambda tensor: accelerator.reduce(tensor, "mean"))
                accelerator.log({**values, "learning_rate": lesson.schedule.get_last_lr()[0]}, state.step)
                progress.tell(state.step, values["loss"])
            if not signal:
                sample()
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

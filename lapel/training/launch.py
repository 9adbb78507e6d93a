"""Devices, precision, processes and trackers, through accelerate."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from lapel.base.base import UNCACHED
from lapel.base.settings import Precision
from lapel.errors import UserError
from lapel.training.run_folder import RunFolder
from lapel.training.run_settings import RunSettings
from lapel.training.tracking import JsonLines

if TYPE_CHECKING:
    from accelerate import Accelerator


def device() -> torch.device:
    """The device of this process, as `accelerate launch` or the machine decides."""
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
    if state.device.type == "cpu" and os.environ.get("OMP_NUM_THREADS", "1") == "1":
        # accelerate's launcher sets one thread where nothing else was asked for; the other cores would stand idle.
        torch.set_num_threads(max(1, _cores() // state.num_processes))
    return state.device


def _cores() -> int:
    """Processor cores that this process may run on: a container, or `taskset`, may leave it fewer than there are."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def make_accelerator(precision: Precision, folder: RunFolder, settings: RunSettings, resumed_at: int) -> Accelerator:
    """An accelerator for a base of that precision, tracked in log.jsonl and, if asked for, TensorBoard.

    The trackers touch no file before `init_trackers`.

    Raises:
        UserError: fp16 on a CPU, where no loss scaling keeps gradients from vanishing.
    """
    from accelerate import Accelerator
    from accelerate.utils import AutocastKwargs

    if precision == "fp16" and device().type == "cpu":
        raise UserError("fp16 needs a GPU, for its loss scaling: take --precision bf16, or fp32")
    trackers = [JsonLines(folder.log, resumed_at), *([settings.tracker] if settings.tracker != "none" else [])]
    mixed = "no" if precision == "fp32" else precision
    handlers = [AutocastKwargs(**UNCACHED)]
    return Accelerator(mixed_precision=mixed, log_with=trackers, project_dir=folder.path, kwargs_handlers=handlers)


def asked_to_stop(accelerator: Accelerator, signal: int, step: int, every: int) -> int:
    """The signal that any of the processes got, or 0; all of them get the same answer at the same step.

    A single process answers at once; several talk about it every few steps, since each talk makes them wait.
    """
    if accelerator.num_processes == 1:
        return signal
    if step % every:
        return 0
    return int(accelerator.gather(torch.tensor([signal], device=accelerator.device)).max())


def any_process(accelerator: Accelerator, happened: bool) -> bool:
    """Whether it happened in any of the processes; all of them get the same answer, and must ask at the same step."""
    if accelerator.num_processes == 1:
        return happened
    return bool(accelerator.gather(torch.tensor([int(happened)], device=accelerator.device)).max())

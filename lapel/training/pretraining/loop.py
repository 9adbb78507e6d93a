"""One loop for the three trainings of `tiny`: resumable, with a growing log."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from lapel.errors import UserError
from lapel.files import written_whole
from lapel.training.stopping import stop_requests


@dataclass(frozen=True)
class Recipe:
    """What a training of `tiny` needs to know."""

    steps: int
    batch: int
    learning_rate: float
    warmup: int = 100
    """Steps over which the rate rises from zero."""
    decay: float = 0.35
    """The share of the steps at the end over which the rate falls to zero."""
    save_minutes: float = 2.0
    compiled: bool = False
    """Whether torch compiles what is trained: in a few minutes, and then its steps take about two thirds of the time.
    It needs a C++ compiler on a CPU."""

    def network(self, module: Callable[..., Any]) -> Callable[..., Any]:
        """What to call for `module`: itself, or its compiled form on the same weights."""
        return torch.compile(module) if self.compiled else module

    def rate(self, step: int) -> float:
        """The learning rate of a step (from 0): it rises, stays, and falls in a straight line to zero."""
        fall = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.learning_rate * min(1.0, (step + 1) / self.warmup, fall)


def train(
    name: str, modules: list[torch.nn.Module], loss_of: Callable[[int], torch.Tensor], recipe: Recipe, folder: Path
) -> None:
    """Train `modules` on `loss_of(step)` with AdamW and leave the averaged weights in them.

    The state is kept in `folder/<name>.pt` and an interrupted training goes on from it; a finished one is only read.
    The weights' moving average is what remains at the end, as is usual for diffusion models.

    Args:
        name: of the files.
        modules: what is trained, in fp32.
        loss_of: the loss of a step; it draws its own batch, as a pure function of the step.
        recipe: length, rate and so on.
        folder: where the state and the log `<name>.jsonl` are.

    Raises:
        UserError: where the loss is no longer a number.
    """
    weights: list[torch.Tensor] = [
        weight for module in modules for weight in module.parameters() if weight.requires_grad
    ]
    optimizer = torch.optim.AdamW(weights, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.02, fused=True)
    average = [weight.detach().clone() for weight in weights]
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / f"{name}.pt"
    start = _resume(state, weights, average, optimizer)
    saved, mean_loss = time.monotonic(), math.nan
    progress = tqdm(range(start, recipe.steps), name, initial=start, total=recipe.steps, mininterval=5)
    with progress, stop_requests() as stop:
        for step in progress:
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate(step)
            loss = loss_of(step)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            torch._foreach_lerp_(average, weights, 1 - min(0.999, (step + 1) / (step + 10)))
            value = loss.item()
            if not math.isfinite(value):
                raise UserError(f"{name}: the loss is {value} at step {step}; lower the learning rate and run again")
            mean_loss = value if math.isnan(mean_loss) else mean_loss + 0.02 * (value - mean_loss)
            progress.set_postfix(loss=f"{mean_loss:.4f}", refresh=False)
            if step % 20 == 0:
                _log(folder / f"{name}.jsonl", step, mean_loss)
            last = step == recipe.steps - 1 or stop.signal
            if last or time.monotonic() - saved > 60 * recipe.save_minutes:
                _save(state, step + 1, weights, average, optimizer)
                saved = time.monotonic()
            if stop.signal:
                raise SystemExit(128 + stop.signal)
    with torch.no_grad():
        for weight, mean in zip(weights, average, strict=True):
            weight.copy_(mean)


def _log(file: Path, step: int, loss: float) -> None:
    with file.open("a", encoding="utf-8") as log:
        log.write(json.dumps({"step": step, "loss": round(loss, 5)}) + "\n")


def _save(
    state: Path, step: int, weights: list[torch.Tensor], average: list[torch.Tensor], optimizer: torch.optim.Optimizer
) -> None:
    with written_whole(state) as path:
        torch.save({"step": step, "weights": weights, "average": average, "optimizer": optimizer.state_dict()}, path)


def _resume(
    state: Path, weights: list[torch.Tensor], average: list[torch.Tensor], optimizer: torch.optim.Optimizer
) -> int:
    if not state.exists():
        return 0
    stored = torch.load(state, weights_only=True)
    with torch.no_grad():
        for target, source in zip([*weights, *average], [*stored["weights"], *stored["average"]], strict=True):
            target.copy_(source)
    optimizer.load_state_dict(stored["optimizer"])
    return stored["step"]


def batch_of(step: int, batch: int, count: int, seed: int) -> torch.Tensor:
    """The numbers of a step's examples: epochs in an order shuffled by `seed`, a pure function of the step.

    Returns:
        (batch,) int64 from 0 ... count - 1.
    """
    per_epoch = count // batch
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed * 100_003 + step // per_epoch))
    position = step % per_epoch * batch
    return order[position : position + batch]

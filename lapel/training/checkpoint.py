"""Checkpoints with the full state of a run, and resuming from them.

A checkpoint is a folder `checkpoints/step-000250` that appears whole or not at all:

    adapter.safetensors   the trained weights, float32, by their names in the modules
    optimizer.pt          states of optimizer, schedule, loss scaler, and of the choice of the best step with its
                          weights; read with weights_only=True
    state.json            the step, and what the run must have in common with the one that resumes

Random state is not among them: every random choice of a run is a pure function of its seed and the step.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from lapel.errors import UserError
from lapel.training.run_folder import checkpoints

if TYPE_CHECKING:
    from lapel.base.base import Base


@dataclass
class State:
    """Everything that changes while a run goes on.

    `weights` are the trained parameters by name; `moving` has whatever else offers `state_dict` and `load_state_dict`,
    by name; `identity` says in words what must be the same for a checkpoint to be of use: base, rank, seed and so on.
    """

    weights: Mapping[str, torch.nn.Parameter]
    moving: Mapping[str, Any]
    identity: Mapping[str, str]
    step: int = 0


def trained_weights(base: Base) -> dict[str, torch.nn.Parameter]:
    """The parameters of a base that are trained, by part and name."""
    parts = {"unet": base.unet, **{f"text_encoder_{n}": model for n, model in enumerate(base.text_encoders, 1)}}
    return {
        f"{part}.{name}": parameter
        for part, model in parts.items()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def save_checkpoint(folder: Path, state: State, keep: int) -> Path:
    """Write a checkpoint of `state` into `folder` (a run's `checkpoints`) and remove all but the newest `keep`."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step-{state.step:06d}"
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=folder))
    try:
        weights = {name: weight.detach().cpu().contiguous() for name, weight in state.weights.items()}
        save_file(weights, temporary / "adapter.safetensors")
        torch.save({name: part.state_dict() for name, part in state.moving.items()}, temporary / "optimizer.pt")
        facts = {"step": state.step, "identity": dict(state.identity)}
        (temporary / "state.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
        for file in temporary.iterdir():
            file.chmod(0o644)
        temporary.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def load_checkpoint(checkpoint: Path, state: State) -> None:
    """Put a checkpoint's state into `state`, in place.

    Raises:
        UserError: where the checkpoint was made with settings that give another adapter, each named, or is damaged.
    """
    try:
        facts = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        weights = load_file(checkpoint / "adapter.safetensors")
        moving = torch.load(checkpoint / "optimizer.pt", map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"{checkpoint}: cannot be read ({error}); remove it to resume from an older one") from error
    was = facts["identity"]
    changed = [name for name, value in state.identity.items() if was.get(name) != value]
    if changed:
        raise UserError(
            *(f"{checkpoint}: was made with {name} {was.get(name)}, not {state.identity[name]}" for name in changed),
            "resume with the settings of the run, or start over with --overwrite",
        )
    with torch.no_grad():
        for name, parameter in state.weights.items():
            parameter.copy_(weights[name])
    for name, part in state.moving.items():
        part.load_state_dict(moving[name])
    state.step = int(facts["step"])

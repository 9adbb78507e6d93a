"""What ComfyUI's own loader makes of adapters and their base, run from a folder that holds ComfyUI."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lapel.adapters.compare import Probe, fresh_copy, relative
from lapel.adapters.merge import merge
from lapel.adapters.names import layer_modules
from lapel.adapters.read import Adapter
from lapel.base.base import Base
from lapel.base.save import save_single_file
from lapel.errors import UserError

_CHILD = Path(__file__).with_name("comfyui_child.py")
_ENCODERS = {"sd15": ("l",), "sd2": ("h",), "sdxl": ("l", "g")}
"""ComfyUI's names of the text encoders, by family."""

Outputs = dict[str, Tensor]


@dataclass(frozen=True)
class ComfyReading:
    """One file as ComfyUI reads it, against the same by its formulas. Norms are Frobenius', errors relative."""

    file: str
    patched: int
    """Weights that ComfyUI changes; 0 for the base itself."""
    messages: tuple[str, ...]
    """What it warns of."""
    errors: dict[str, float]
    """By model (`unet`, `text`; of the base `vae` too), the output's difference from diffusers'."""
    effects: dict[str, float]
    """By model, what the adapter changes of the output."""

    @property
    def close(self) -> bool:
        """Whether the outputs are the same but for the order of fp32 sums."""
        return max(self.errors.values()) <= 1e-4


@torch.no_grad()
def read_by_comfyui(base: Base, adapters: Sequence[Adapter], comfyui: Path) -> list[ComfyReading]:
    """Have ComfyUI load the base as a single file, and each adapter on it, in a process of its own.

    Args:
        base: in fp32, on the CPU, without an adapter.
        adapters: files in kohya's layout.
        comfyui: the folder that holds its package `comfy`.

    Returns:
        The base's reading, then the adapters'.

    Raises:
        UserError: ComfyUI does not start, or fails.
    """
    expected = [_outputs(base)]
    for adapter in adapters:
        worn = fresh_copy(base)
        merge(adapter, layer_modules(worn.models))
        expected.append(_outputs(worn))
        del worn
    with tempfile.TemporaryDirectory() as scratch:
        found, results = _run(base, adapters, comfyui, Path(scratch))
    return [
        _reading(number, result, found, expected[number], expected[0] | {"vae": _vae(base)})
        for number, result in enumerate(results)
    ]


def _reading(number: int, result: dict[str, Any], found: Outputs, expected: Outputs, bare: Outputs) -> ComfyReading:
    errors, effects = {}, {}
    for model, value in (expected if number else bare).items():
        read = found["vae" if model == "vae" else f"{model}_{number}"]
        error, effects[model] = relative(read.flatten(), value.flatten(), bare[model].flatten())
        errors[model] = 1.0 if error is None else error
    return ComfyReading(Path(result["file"]).name, result["patched"], tuple(result["messages"]), errors, effects)


def _outputs(base: Base) -> Outputs:
    probe = Probe(base, with_text=True)
    assert probe.tokens is not None, "asked for"
    text = base.encode_tokens(probe.tokens)["prompt_embeds"]
    return {"unet": Probe(base, with_text=False).outputs(base), "text": text.float()}


def _vae(base: Base) -> Tensor:
    return base.vae.decode(_vae_latents()).sample


def _vae_latents() -> Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def _inputs(base: Base) -> Outputs:
    probe, text_probe = Probe(base, with_text=False), Probe(base, with_text=True)
    inputs = {
        "latents": probe.latents,
        "timesteps": torch.tensor([500.0]),
        "context": probe.text["prompt_embeds"],
        "vae_latents": _vae_latents(),
    }
    for name, tokens in zip(_ENCODERS[base.family.name], text_probe.tokens or [], strict=True):
        inputs[f"tokens_{name}"] = tokens
    conditions = base.unet_conditions(probe.text, original_size=(512, 512), target_size=(512, 512))
    if "added_cond_kwargs" in conditions:
        added = conditions["added_cond_kwargs"]
        sizes = base.unet.add_time_proj(added["time_ids"].flatten()).reshape(1, -1)
        inputs["y"] = torch.cat([added["text_embeds"], sizes], dim=1)
    return inputs


def _run(base: Base, adapters: Sequence[Adapter], comfyui: Path, scratch: Path) -> tuple[Outputs, list[dict[str, Any]]]:
    from safetensors.torch import load_file, save_file

    checkpoint = scratch / "base.safetensors"
    save_single_file(base, checkpoint, torch.float32)
    save_file({name: value.contiguous() for name, value in _inputs(base).items()}, scratch / "inputs.safetensors")
    job = {
        "checkpoint": str(checkpoint),
        "adapters": [str(adapter.path.resolve()) for adapter in adapters],
        "encoders": _ENCODERS[base.family.name],
    }
    (scratch / "job.json").write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, str(_CHILD), str(comfyui), str(scratch)]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise UserError(f"{comfyui}: {_reason(done.stderr)}")
    return load_file(scratch / "outputs.safetensors"), json.loads((scratch / "results.json").read_text())


def _reason(stderr: str) -> str:
    """The last line of a traceback, and what to do."""
    last = (stderr.strip().splitlines() or ["it ended without a word"])[-1]
    if "No module named" in last:
        return f"ComfyUI does not start here ({last}); install what its requirements.txt names into this Python"
    return f"ComfyUI fails ({last}); try its newest release"


def comfy_lines(readings: Sequence[ComfyReading]) -> list[str]:
    """The table for people: a line for each file, and one for each warning."""
    lines = []
    for reading in readings:
        differences = ", ".join(f"{model} {error:.1e}" for model, error in reading.errors.items())
        word = "agrees" if reading.close and not reading.messages else "DOES NOT AGREE"
        what = f"{reading.patched} weights changed" if reading.patched else "the base as a single file"
        lines.append(f"ComfyUI's own loader {word}: {what}; outputs differ from diffusers' by {differences}")
        lines += [f"  it warns: {message}" for message in reading.messages[:10]]
    return lines

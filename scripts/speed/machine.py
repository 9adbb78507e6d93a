"""What a measurement was made on, and how fast that multiplies matrices."""

from __future__ import annotations

import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

_LIBRARIES = ("torch", "diffusers", "transformers", "peft", "bitsandbytes", "accelerate")


def machine(device: torch.device) -> dict[str, Any]:
    """Processor, GPU, threads, system and versions."""
    facts: dict[str, Any] = {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": {library: version(library) for library in _LIBRARIES},
    }
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts


def machine_words(facts: dict[str, Any]) -> str:
    """The same in a line."""
    on = facts.get("gpu") or f"{facts['processor']}, {facts['threads']} threads"
    return f"{on}; " + ", ".join(f"{name} {number}" for name, number in facts["versions"].items())


def sayable(settings: Any) -> dict[str, Any]:
    """Settings as JSON can say them."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(settings).items()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def matrix_rate(device: torch.device, dtype: torch.dtype, side: int, times: int = 5) -> float:
    """Operations a second of the best of some products of two square matrices: 2 side³ each."""
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    torch.mm(left, right)  # sets the kernel up
    best = min(seconds(device, lambda: torch.mm(left, right)) for _ in range(times))
    return 2 * side**3 / best


def seconds(device: torch.device, work: Any) -> float:
    """How long some work takes, the device's included."""
    wait(device)
    start = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - start


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

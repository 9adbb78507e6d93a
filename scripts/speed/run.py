"""Seconds from launch to the exported file, by phase: `trainers/lora.py` against the base line, each a process.

Both learn from the same photos of one garment, on a base of the true shape with random weights, and write a LoRA for
diffusers. Nothing is cached before, no samples are drawn, and our loss compares with the photos alone, as the base line
does. `most` is the most that the process held, or of a GPU's memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evaluation.results import write_figures, write_table
from lapel.base.settings import Precision

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class RunBenchmarkSettings:
    """Which run is measured."""

    output_dir: Path = Path("runs/benchmark")
    """Takes `run.md` and `run.json`."""

    shape: Literal["sd15", "tiny"] = "sd15"
    """Of the base: `sd15` is written with random weights, 2 GB in bf16, and removed afterwards."""

    garment_dir: Path = ROOT / "datasets" / "samples" / "striped-t-shirt"
    """The photos."""

    resolution: int = 512
    """Side of the pictures in pixels."""

    steps: int = 100
    """Of the training, a photo each."""

    rank: int = 16
    """Of the adapter."""

    precision: Precision = "bf16"
    """Of the base, and of the steps."""

    def __post_init__(self) -> None:
        if min(self.resolution, self.steps, self.rank) < 1:
            raise ValueError("resolution, steps and rank must be 1 or more")


def measure_run(settings: RunBenchmarkSettings) -> None:
    """Run both, print the table, and write it with the machine."""
    import torch

    from speed.machine import machine, machine_words, sayable

    facts = machine(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    with tempfile.TemporaryDirectory() as scratch:
        base = _base(settings, Path(scratch))
        rows = {"plain": _plain(settings, base, Path(scratch)), "ours": _ours(settings, base, Path(scratch))}
    write_figures(settings.output_dir, "run", {"machine": facts, "settings": sayable(settings), "rows": rows})
    write_table(settings.output_dir, "run", [machine_words(facts), "", *table_lines(settings, rows)])


def table_lines(settings: RunBenchmarkSettings, rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A line for each of the two: all seconds, those that are there whatever the number of steps, and a step's."""
    yield "| run | seconds | beside steps | a step | by phase | most, GB | speed over the plain script |"
    yield "|" + "---|" * 7
    words = f"{settings.shape}, {settings.resolution} px, {settings.steps} steps, rank {settings.rank}"
    for name, row in rows.items():
        phases = ", ".join(f"{phase} {spent:.1f}" for phase, spent in row["phases"].items() if spent >= 0.05)
        ratio = rows["plain"]["seconds"] / row["seconds"]
        stepping = row["phases"]["step"]
        figures = [f"{row['seconds']:.1f}", f"{row['seconds'] - stepping:.1f}", f"{stepping / settings.steps:.3f}"]
        yield f"| {words}, {name} | {' | '.join(figures)} | {phases} | {row['most'] / 1e9:.2f} | {ratio:.2f} |"


def _base(settings: RunBenchmarkSettings, scratch: Path) -> str:
    if settings.shape == "tiny":
        return "tiny"
    from lapel.base.base import DTYPES
    from lapel.base.stand_in import stand_in

    folder = scratch / "base"
    stand_in("sd15", folder, DTYPES[settings.precision])
    return str(folder)


def _ours(settings: RunBenchmarkSettings, base: str, scratch: Path) -> dict[str, Any]:
    folder = scratch / "ours"
    flags: dict[str, Any] = {
        "garment_dir": settings.garment_dir,
        "base": base,
        "output_dir": folder,
        "cache_dir": scratch / "cache",
        "resolution": settings.resolution,
        "steps": settings.steps,
        "batch_size": 1,
        "rank": settings.rank,
        "precision": settings.precision,
        "caption_dropout": 0,
        "outside": "photo",
        "keep": "last",
        "sample_every": 0,
        "checkpoint_every": 0,
    }
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1"]
    taken, _ = _timed([*accelerate, str(ROOT / "trainers" / "lora.py"), *words])
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    return {"seconds": taken, "phases": card["seconds"], "most": card["peak_memory"]}


def _plain(settings: RunBenchmarkSettings, base: str, scratch: Path) -> dict[str, Any]:
    from lapel.base.find import TINY_FOLDER

    given = {
        "base": str(TINY_FOLDER) if base == "tiny" else base,
        "folder": str(scratch / "plain"),
        **{name: str(getattr(settings, name)) for name in ("garment_dir", "precision")},
        **{name: getattr(settings, name) for name in ("resolution", "steps", "rank")},
    }
    taken, said = _timed([sys.executable, "-m", "speed.plain_run", json.dumps(given)])
    return {"seconds": taken, **json.loads(said.splitlines()[-1])}


def _timed(command: list[str]) -> tuple[float, str]:
    """Seconds that a process took, and what it said."""
    path = os.pathsep.join([str(ROOT / "scripts"), str(ROOT)])
    start = time.perf_counter()
    done = subprocess.run(
        command, check=True, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    return time.perf_counter() - start, done.stdout

"""What it takes to load a base's single file: the most memory, and the time until a first prompt is encoded.

Files of the true shapes with random weights are made, offline, in fp16. Every load has a process of its own. Memory is
what is resident, mapped pages of the file included, above what the imports alone leave.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from evaluation.results import write_figures
from lapel.base.settings import BaseSettings, Precision
from lapel.memory import peak_memory

AIM = 1.15
"""Most memory, as a share of the weights' size in the precision that is loaded."""


@dataclass
class LoadingSettings:
    """Which files are loaded, and how."""

    output_dir: Path = Path("runs/loading")
    """Takes `loading.json`, and the files while they are measured: 14 GB for SDXL."""

    families: list[Literal["sd15", "sd2", "sdxl"]] = field(default_factory=lambda: ["sd15", "sdxl"])
    """Shapes of the files."""

    containers: list[Literal["safetensors", "ckpt"]] = field(default_factory=lambda: ["safetensors", "ckpt"])
    """Kinds of the files."""

    precisions: list[Precision] = field(default_factory=lambda: ["fp16", "bf16", "fp32"])
    """What the fp16 files are loaded in. SDXL in fp32 takes 14 GB."""


@dataclass(frozen=True)
class Load:
    """One load, in a process of its own."""

    family: str
    container: str
    precision: str
    weights: float
    """GB of the weights in the precision."""
    most: float
    """GB resident at most, above the imports' own."""
    seconds: float
    """From launch to the first encoded prompt."""

    @property
    def ratio(self) -> float:
        """Most memory over the weights' size."""
        return self.most / self.weights


def measure_loading(settings: LoadingSettings) -> None:
    """Make the files, load each in each precision, and print what it took.

    Raises:
        SystemExit: 1, where a load took more memory than `AIM` allows.
    """
    scratch = settings.output_dir / "scratch"
    loads = []
    try:
        for family in settings.families:
            for container in settings.containers:
                path = make(family, container, scratch)
                for precision in settings.precisions:
                    loads.append(load_apart(family, path, precision))
                    print(f"{family} {container} {precision}: {loads[-1].ratio:.2f}", flush=True)
                path.unlink()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    write_figures(settings.output_dir, "loading", [asdict(load) for load in loads])
    print("\n| family | fp16 file | loaded in | weights, GB | most memory, GB | ratio | seconds to a prompt |")
    print("|" + "---|" * 7)
    for load in loads:
        figures = f"{load.weights:.2f} | {load.most:.2f} | {load.ratio:.2f} | {load.seconds:.1f}"
        print(f"| {load.family} | .{load.container} | {load.precision} | {figures} |")
    if any(load.ratio > AIM for load in loads):
        raise SystemExit(f"more than {AIM} times the weights' size")


def make(family: str, container: str, scratch: Path) -> Path:
    """A single file of the family's shape, in fp16. It is made in another process, which leaves no memory behind."""
    path = scratch / f"{family}.{container}"
    subprocess.run([sys.executable, "-m", "evaluation.loading", "make", family, str(path)], check=True, env=_env())
    return path


def load_apart(family: str, path: Path, precision: Precision) -> Load:
    """Load a file in a new process, and encode a prompt."""
    started = time.time()
    command = [sys.executable, "-m", "evaluation.loading", "load", str(path), precision, str(started)]
    done = subprocess.run(command, check=True, env=_env(), stdout=subprocess.PIPE, text=True)
    return Load(family, path.suffix[1:], precision, **json.loads(done.stdout))


def _env() -> dict[str, str]:
    import os

    here = Path(__file__).resolve().parents[1]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}


def _make(family: str, path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    from lapel.base.load import load_base
    from lapel.base.save import save_single_file
    from lapel.base.stand_in import stand_in

    folder = path.with_suffix("")
    if not folder.is_dir():
        stand_in(family, folder, torch.float16)
    plain = path.with_suffix(".safetensors")
    save_single_file(load_base(BaseSettings(base=str(folder), precision="fp16")), plain)
    if path != plain:
        torch.save({"state_dict": load_file(plain), "global_step": 1}, path)
        plain.unlink()


def _load(path: Path, precision: Precision, started: float) -> None:
    import torch

    # Imports are lazy in these libraries: what is named here is not counted as the file's.
    from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel  # noqa: F401
    from diffusers.loaders import single_file_utils  # noqa: F401
    from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401

    from lapel.base.load import load_base

    before = peak_memory() / 1e6
    base = load_base(BaseSettings(base=str(path), precision=precision))
    with torch.no_grad():
        base.encode_text(["a photo of a linen shirt at the beach"])
    seconds, most = time.time() - started, peak_memory() / 1e6 - before
    models = (base.unet, base.vae, *base.text_encoders)
    weights = sum(p.numel() for model in models for p in model.parameters()) * base.dtype.itemsize
    print(json.dumps({"weights": weights / 1e9, "most": most / 1e3, "seconds": seconds}))


if __name__ == "__main__":
    from lapel.quiet import quiet

    quiet()
    if sys.argv[1] == "make":
        _make(sys.argv[2], Path(sys.argv[3]))
    else:
        _load(Path(sys.argv[2]), sys.argv[3], float(sys.argv[4]))  # type: ignore[arg-type]

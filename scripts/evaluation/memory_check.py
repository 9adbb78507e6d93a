"""Whether a plan is true: predicted, counted in a real training step on this processor, and what the process held.

Every setting has a process of its own, with random weights of the true shape. `counted` is the same ledger over the
real step; `resident` is what the process's memory grew by from before the base to the peak of the step, with whatever
the kernels and the allocator take for themselves.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.memory_table import BASES, with_changes
from evaluation.planned import recipe_of, settings_of
from evaluation.results import write_figures, write_table

if TYPE_CHECKING:
    from lapel.base.base import Base
    from lapel.training.facts import AllSettings

WITHIN = 0.03
"""The most that prediction and count may differ by, as a share of the count."""

_CHECKED = {"checkpoint_blocks": ["down_blocks.0", "up_blocks.3"], "gradient_checkpointing": True}
_FUSED = {"fused_backward": True, "max_grad_norm": 0.0}
_LEAST = {"gradient_checkpointing": True, "prior": "none", "outside": "photo", "caption_dropout": 0.0}
"""What keeps no second UNet beside the one that learns."""
_UNPACKED = {"optimizer": "sgd"}
"""For what learns much at once: bitsandbytes' kernel for a processor unpacks all 8-bit states for a moment, five times
the weights that learn, where a GPU's does it in place."""
CASES: tuple[dict[str, Any], ...] = (
    {"base": "sd15", "resolution": 256},
    {"base": "sd15", "resolution": 256, "rank": 4},
    {"base": "sd15", "resolution": 256, "rank": 64, "optimizer": "adamw"},
    {"base": "sd15", "resolution": 256, "batch_size": 4},
    {"base": "sd15", "resolution": 256, "precision": "fp32"},
    {"base": "sd15", "resolution": 256, "batch_size": 4, "gradient_checkpointing": True},
    {"base": "sd15", "resolution": 256, "batch_size": 4, **_CHECKED},
    {"base": "sd15", "resolution": 512},
    {"base": "sd15", "resolution": 512, "gradient_checkpointing": True},
    {"base": "sd15", "resolution": 256, "kind": "dora"},
    {"base": "sd15", "resolution": 256, "convolutions": True},
    {"base": "sd15", "resolution": 256, "frozen_weights": "nf4"},
    {"base": "sd15", "resolution": 256, "frozen_weights": "int8"},
    {"base": "sd15", "resolution": 256, "blocks": ["unet", "text_encoder=4"], "cache_text": False},
    {"base": "sdxl", "resolution": 256, "frozen_weights": "nf4", "gradient_checkpointing": True},
    {"base": "sdxl", "resolution": 256, "gradient_checkpointing": True},
    {"trainer": "dreambooth", "base": "sd15", "resolution": 256, **_UNPACKED},
    {"trainer": "dreambooth", "base": "sd15", "resolution": 256, **_FUSED, "optimizer": "sgd"},
    {"trainer": "garment_encoder", "base": "sd15", "resolution": 256},
    {"base": "sd15", "resolution": 256, "stream_weights": True},
    {"base": "sdxl", "resolution": 256, "stream_weights": True, "gradient_checkpointing": True},
    {"base": "sdxl", "resolution": 256},
    {"trainer": "garment_encoder", "base": "sdxl", "resolution": 256, **_UNPACKED},
    {"trainer": "dreambooth", "base": "sd15", "resolution": 256, **_FUSED},
    {"trainer": "dreambooth", "base": "sdxl", "resolution": 256, **_FUSED, **_LEAST},
)


def check(cache_dir: Path | None, output_dir: Path) -> None:
    """Run every case, and write `check.md` and `check.json`; cases that are there already are not run again.

    Raises:
        SystemExit: 1, where a prediction is off by more than `WITHIN`.
    """
    from lapel.training.encoding import cache_folder
    from lapel.training.plan import Predictor, levers_of

    path = output_dir / "check.json"
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.is_file() else []
    for case in CASES:
        if any(one["case"] == case for one in found):
            continue
        changed = settings_of_case(case)
        predictor = Predictor(changed, recipe_of(changed), "cpu", cache_folder(cache_dir))
        predicted = predictor.step(levers_of(changed)).peak.total
        found.append({"case": case, "predicted": predicted, **_in_a_process(case)})
        write_figures(output_dir, "check", found)
        print(next(iter(reversed(list(table_lines(found))))), flush=True)
    write_table(output_dir, "check", table_lines(found))
    if any(abs(_error(one)) > WITHIN for one in found):
        raise SystemExit(1)


def settings_of_case(case: dict[str, Any]) -> Any:
    """A case's settings, in bf16 and one photo a pass unless it says otherwise."""
    (settings,) = settings_of(case.get("trainer", "lora"))
    changes = {"precision": "bf16", "batch_size": 1, **case, "base": BASES[case["base"]]}
    return with_changes(settings, **{name: value for name, value in changes.items() if name != "trainer"})


def table_lines(found: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each case."""
    yield "| setting | predicted, GB | counted, GB | error | resident, GB |"
    yield "|" + "---|" * 5
    for one in found:
        words = ", ".join(_words(name, value) for name, value in one["case"].items())
        figures = [f"{one['predicted'] / 1e9:.3f}", f"{one['counted'] / 1e9:.3f}", f"{_error(one):+.2%}"]
        yield f"| {words} | {' | '.join(figures)} | {one['resident'] / 1e9:.3f} |"


def _error(one: dict[str, Any]) -> float:
    return one["predicted"] / one["counted"] - 1


def _words(name: str, value: Any) -> str:
    if name in ("base", "trainer"):
        return str(value)
    return f"{name} {' '.join(value) if isinstance(value, list) else str(value).lower()}"


def _in_a_process(case: dict[str, Any]) -> dict[str, int]:
    here = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    command = [sys.executable, "-m", "evaluation.memory_check", json.dumps(case)]
    done = subprocess.run(command, check=True, cwd=here, env=environment, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _count(case: dict[str, Any]) -> dict[str, int]:
    """One case, for real: the peak of the second step's tensors, and of the process."""
    from lapel.training.fused import FusedTrainable
    from lapel.training.objective import Objective
    from lapel.training.optimizer import make_optimizer
    from lapel.training.plan.phases import Phases

    settings = settings_of_case(case)
    recipe = recipe_of(settings)
    base, before = random_base(settings, recipe.live_text, recipe.whole)
    beside = recipe.inject(base)
    side = recipe.resolution or base.resolution
    phases = Phases(base, recipe, settings.base.precision, side, gpu=False, beside=beside, stepped=settings.optimizer)
    learns = phases.trainable
    optimizer = learns.optimizer if isinstance(learns, FusedTrainable) else make_optimizer(learns, settings.optimizer)
    objective = Objective(base.scheduler, settings.objective)
    Path("/proc/self/clear_refs").write_text("5")  # the process's peak starts anew
    step = phases.step(objective, settings.optimizer.batch_size, optimizer)
    return {"counted": step.peak.total, "resident": _resident("VmHWM") - before}


def random_base(settings: AllSettings, with_text: bool, whole: bool = False) -> tuple[Base, int]:
    """A base of the settings' shape with random weights, and the bytes that the process held before them.

    Args:
        with_text: whether VAE and text encoders are needed.
        whole: whether its own weights are to learn, in fp32.
    """
    import torch

    from lapel.base.hollow import hollow_base
    from lapel.base.quantise import quantise
    from lapel.base.stand_in import fill
    from lapel.base.stream import start_streaming

    wanted = dataclasses.replace(settings.base, precision="fp32") if whole else settings.base
    base, generator = hollow_base(wanted, torch.device("cpu")), torch.Generator().manual_seed(0)
    before = _resident("VmRSS")
    if not with_text:
        base.release_text_encoders()  # the VAE stays, without numbers: it tells the sizes
    for model in (base.unet, *([base.vae, *base.text_encoders] if with_text else [])):
        fill(model.to_empty(device="cpu"), generator)
    if settings.base.frozen_weights != "full":
        quantise(base.unet, settings.base.frozen_weights, "cpu")
    if settings.base.stream_weights:
        start_streaming(base.unet)
    return base, before


def _resident(field: str) -> int:
    """Bytes of a field of Linux's own account of this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    from lapel.quiet import quiet

    quiet()
    print(json.dumps(_count(json.loads(sys.argv[1]))))

"""The plan on the command line: of any trainer, and refused in a line where nothing fits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from plan import trainer_named

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "plan.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("argv", "trainer"),
    [
        ([], "lora"),
        (["--config", "sdxl-8gb"], "lora"),
        (["--config=sd15-12gb-dreambooth"], "dreambooth"),
        (["--config", "configs/sd15-8gb-encoder.yaml"], "garment_encoder"),
        (["--config", "mine", "--trainer", "dreambooth"], "dreambooth"),
        (["--trainer=garment_encoder", "--base", "tiny"], "garment_encoder"),
    ],
)
def test_the_trainer_is_the_one_that_is_named_or_the_presets_own(argv: list[str], trainer: str) -> None:
    assert trainer_named(argv) == trainer


@pytest.mark.slow
def test_a_fine_tuning_is_planned_and_kept_below_a_budget(tmp_path: Path) -> None:
    common = ("--config", "tiny-dreambooth", "--cache_dir", tmp_path)
    plain = run(*common)
    assert plain.returncode == 0, plain.stderr
    assert "for that    nothing changed" in plain.stdout
    saved = run(*common, "--memory_budget", "0.9GB")
    assert saved.returncode == 0, saved.stderr
    assert "GB of 0.9" in saved.stdout and "more to compute" in saved.stdout
    refused = run(*common, "--memory_budget", "0.5GB")
    assert refused.returncode == 2
    (line,) = (line for line in refused.stderr.splitlines() if line.startswith("error: "))
    assert "memory_budget 0.5GB: the run does not fit" in line and "the nearest budget that holds is 0." in line


def test_an_unknown_trainer_is_refused() -> None:
    done = run("--trainer", "lore")
    assert done.returncode == 2 and "--trainer" in done.stderr

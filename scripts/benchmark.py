"""Measure lapel's speed: python scripts/benchmark.py MEASUREMENT [settings], where MEASUREMENT is one of

step: seconds, images a second, memory and the share of the hardware's rate of a training step.
run: seconds from launch to the exported file, by phase.

Both beside a base line that is written as the best-known example scripts are. Weights are random: nothing is
downloaded.
"""

from __future__ import annotations

from evaluation.named import run_named
from lapel.errors import run_program

MEASUREMENTS = {
    "step": ("speed.step", "measure_step", "StepSettings"),
    "run": ("speed.run", "measure_run", "RunBenchmarkSettings"),
}
"""By the first word: the module beside this program, its function, and the settings that the function takes."""


def main() -> None:
    """Run the measurement that the first word names."""
    run_named(__doc__ or "", MEASUREMENTS)


if __name__ == "__main__":
    run_program(main)

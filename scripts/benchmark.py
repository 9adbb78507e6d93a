"""Measure lapel's speed: python scripts/benchmark.py MEASUREMENT [settings], where MEASUREMENT is one of

step: seconds, images a second, memory and the share of the hardware's rate of a training step.
run: seconds from launch to the exported file, by phase.

Both beside a base line that is written as the best-known example scripts are. Weights are random: nothing is
downloaded.
"""

from __future__ import annotations

import importlib
import sys

from lapel.errors import UserError, run_program
from lapel.files import require_writable
from lapel.quiet import quiet
from lapel.settings import read_settings

MEASUREMENTS = {
    "step": ("speed.step", "measure_step", "StepSettings"),
    "run": ("speed.run", "measure_run", "RunBenchmarkSettings"),
}
"""By the first word: the module beside this program, its function, and the settings that the function takes."""


def main() -> None:
    """Run the measurement that the first word names."""
    word = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if word in ("-h", "--help"):
        print(__doc__)
        return
    if word not in MEASUREMENTS:
        raise UserError(f"{word}: no such measurement; choose one of {', '.join(MEASUREMENTS)}")
    module_name, function, settings_class = MEASUREMENTS[word]
    module = importlib.import_module(module_name)
    (settings,) = read_settings(module.__doc__ or "", getattr(module, settings_class), argv=sys.argv[2:])
    require_writable(settings.output_dir)
    quiet()
    getattr(module, function)(settings)


if __name__ == "__main__":
    run_program(main)

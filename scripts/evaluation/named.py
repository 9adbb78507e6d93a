"""Programs of several measurements, of which the command line's first word names one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping

from lapel.errors import UserError
from lapel.files import require_writable
from lapel.quiet import quiet
from lapel.settings import read_settings


def run_named(doc: str, measurements: Mapping[str, tuple[str, str, str]]) -> None:
    """Run the measurement that the first word names, or print the program's `doc`.

    Args:
        measurements: by their words: a module, its function, and the settings that the function takes.

    Raises:
        UserError: a word that names none.
    """
    word = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if word in ("-h", "--help"):
        print(doc)
        return
    if word not in measurements:
        raise UserError(f"{word}: no such measurement; choose one of {', '.join(measurements)}")
    module_name, function, settings_class = measurements[word]
    module = importlib.import_module(module_name)
    (settings,) = read_settings(module.__doc__ or "", getattr(module, settings_class), argv=sys.argv[2:])
    require_writable(settings.output_dir)
    quiet()
    getattr(module, function)(settings)

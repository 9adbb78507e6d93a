"""Write the page of a run anew, whether it ended or not: python scripts/report.py RUN

The page, `report.html`, is made of what lies in the run folder alone, so that it can be written at any time.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from lapel.errors import run_program
from lapel.files import require_writable
from lapel.settings import read_settings


@dataclass
class ReportSettings:
    """Which run."""

    run: Path
    """The run folder, such as runs/striped-t-shirt. May be given without the flag, as the first word."""


def main() -> None:
    """Read the run folder, write its page, and say where it is."""
    argv = sys.argv[1:]
    (settings,) = read_settings(
        __doc__ or "", ReportSettings, argv=["--run", *argv] if argv and not argv[0].startswith("-") else argv
    )
    from lapel.report import write_report
    from lapel.report.run import read_run

    read_run(settings.run)
    require_writable(settings.run)
    print(write_report(settings.run))


if __name__ == "__main__":
    run_program(main)

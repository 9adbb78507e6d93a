"""All that is written about a run when it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lapel.report.card import write_card
from lapel.report.page import write_report
from lapel.report.sidecars import write_sidecars


def write_run(run_folder: Path, facts: Mapping[str, Any], preview: Path | None) -> list[Path]:
    """Write card, sidecars and page into the run folder, and return the paths of the latter two.

    Args:
        facts: as `write_card` takes them.
        preview: an image to show it by.
    """
    card = write_card(run_folder, facts)
    return [*write_sidecars(run_folder, card, preview), write_report(run_folder)]

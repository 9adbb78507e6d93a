"""A run folder made readable: `card.json` for programs, `README.md` for hubs, `report.html` for people."""

from __future__ import annotations

from lapel.report.card import write_card
from lapel.report.encoder_card import write_encoder_card
from lapel.report.intake import keep_photos
from lapel.report.page import write_report
from lapel.report.photos import finding_lines, photo_lines, write_photos
from lapel.report.sidecars import thumbnail, write_sidecars
from lapel.report.told import write_run

__all__ = [
    "finding_lines",
    "keep_photos",
    "photo_lines",
    "thumbnail",
    "write_card",
    "write_encoder_card",
    "write_photos",
    "write_report",
    "write_run",
    "write_sidecars",
]

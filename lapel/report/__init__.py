"""A run folder made readable: `card.json` for programs, `README.md` for hubs, `report.html` for people."""

from __future__ import annotations

from lapel.report.card import read_card, write_card
from lapel.report.page import write_report

__all__ = ["read_card", "write_card", "write_report"]

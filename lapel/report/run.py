"""A run folder, read back: all that its page tells, whether the run ended or not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lapel.adapters.card import CARD, REQUIRED
from lapel.base.find import SHIPPED
from lapel.errors import UserError
from lapel.report.charts import last_step, read_log
from lapel.report.intake import kept_photos

Kinds = Mapping[str, Callable[[Any], bool]]


def _is_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, int | float) for one in value.values())


CARD_KINDS: Kinds = {
    **dict.fromkeys(REQUIRED, lambda value: isinstance(value, str)),
    **dict.fromkeys(("files", "views"), lambda value: value is None or isinstance(value, list)),
    **dict.fromkeys(("settings", "scores", "plan"), lambda value: value is None or isinstance(value, dict)),
    "worn": lambda value: value is None or (isinstance(value, list) and all(isinstance(one, dict) for one in value)),
    "seconds": lambda value: value is None or _is_numbers(value),
    "peak_memory": lambda value: value is None or isinstance(value, int),
}
SETTINGS_KINDS: Kinds = {"steps": lambda value: value is None or isinstance(value, int)}
"""What the page reckons with; of other values it takes whatever can be said in words."""

SETTINGS, LOG, SAMPLES = "settings.yaml", "log.jsonl", "samples"


@dataclass(frozen=True)
class Run:
    """What a run folder holds; whatever is not there is empty."""

    folder: Path
    card: dict[str, Any]
    """Empty until the run has exported its adapter."""
    garment: dict[str, Any]
    """As `lapel.report.intake.kept_photos` reads it."""
    settings: dict[str, Any]
    log: dict[int, dict[str, float]]

    @property
    def finished(self) -> bool:
        """Whether there is an adapter."""
        return bool(self.card)

    @property
    def name(self) -> str:
        """The adapter's, else the garment's, else the folder's."""
        return str(self.card.get("name") or self.garment.get("name") or self.folder.resolve().name)

    @property
    def words(self) -> str:
        """Trigger and class word; "" where the run ended before it knew them."""
        said = self.card or self.garment
        return f"{said.get('trigger', '')} {said.get('class_word', '')}".strip()

    @property
    def base(self) -> str:
        """The base by its name."""
        return str(self.card.get("base") or self.settings.get("base") or "")

    @property
    def worn(self) -> list[str]:
        """The adapters that the base wore while training, which it should wear again."""
        return [f"{one.get('name')} at {one.get('weight')}" for one in self.card.get("worn") or []]

    @property
    def on_tiny(self) -> bool:
        """Whether the base is one that lapel ships, which no other front end has."""
        return self.base in SHIPPED

    @property
    def steps(self) -> int:
        """Steps of the whole run, as it was asked for."""
        return int(self.settings.get("steps") or self.card.get("steps") or 0)

    @property
    def steps_taken(self) -> int:
        """Steps that are behind it, as far as the log goes."""
        return last_step(self.log) or (self.steps if self.finished else 0)

    @property
    def kept_step(self) -> int | None:
        """The step that the adapter is of: the chosen one, else the last; None in an unfinished run."""
        chosen = self.card.get("kept_step")
        if isinstance(chosen, int):
            return chosen
        return self.steps_taken if self.finished else None


def read_run(folder: Path) -> Run:
    """Read a run folder.

    Raises:
        UserError: it is no run folder, or one of its files cannot be read.
    """
    if folder.is_file():
        raise UserError(f"{folder}: a file; name the folder of a run, which it may lie in: {folder.parent}")
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name the folder of a run, such as runs/striped-t-shirt")
    if not (folder / CARD).is_file() and not (folder / SETTINGS).is_file():
        raise UserError(f"{folder}: no run folder: it holds neither {CARD} nor {SETTINGS}; name the folder of a run")
    card = _mapping(folder / CARD, json.loads, CARD_KINDS)
    settings = _mapping(folder / SETTINGS, yaml.safe_load, SETTINGS_KINDS) or card.get("settings") or {}
    return Run(folder, card, kept_photos(folder) or {}, settings, read_log(folder / LOG))


def _mapping(path: Path, parse: Any, kinds: Kinds) -> dict[str, Any]:
    """A file's one mapping, its values of these kinds; an empty one where there is no file."""
    if not path.is_file():
        return {}
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: cannot be read: it holds no names with values")
    wrong = [name for name, fits in kinds.items() if not fits(content.get(name))]
    if wrong:
        raise UserError(f"{path}: cannot be read: {', '.join(wrong)}: not there, or not what a garment's run writes")
    return content

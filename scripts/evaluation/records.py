"""What was measured, a small file for each garment and method, so that whatever was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.exam_settings import ExamSettings
from evaluation.methods import Method
from evaluation.stamps import digest
from evaluation.trials import Training
from lapel.errors import UserError
from lapel.files import written_whole

if TYPE_CHECKING:
    from evaluation.cases import Case


class Records:
    """The files of a `results_dir`, in a folder for each way in which exams are held, which is told by `exam.json`."""

    def __init__(self, settings: ExamSettings) -> None:
        self.exam = settings.identity
        self.folder = settings.results_dir / digest(self.exam)

    def read(self, case: Case, method: Method, whole: bool) -> dict[str, Any] | None:
        """The figures of a garment by a method, where they are known; with `whole`, those of the whole exam."""
        record = self._read(self._file(case, method.name), case)
        if record is None or record["method"] != method.identity or record["whole"] < whole:
            return None
        current = method.training is None or self._is_of(record, method.training)
        return dict(record["figures"]) if current else None

    def keep(self, case: Case, method: Method, whole: bool, figures: dict[str, Any]) -> None:
        """Write them down."""
        record = {
            "title": method.title,
            "garment": case.identity,
            "method": method.identity,
            "settings": None if method.training is None else self._keep_settings(method.training),
            "whole": whole,
            "figures": {name: _rounded(value) for name, value in figures.items()},
        }
        _write(self.folder / "exam.json", self.exam)
        _write(self._file(case, method.name), record)

    def rows(self, cases: Sequence[Case]) -> dict[str, tuple[str, list[dict[str, Any]]]]:
        """By name, the title and the figures, garment by garment, of every method that was wholly examined on all."""
        found = {}
        for path in sorted(self._file(cases[0], "").parent.glob("*.json")):
            records = [self._read(self._file(case, path.stem), case) for case in cases]
            known = [record for record in records if record and record["whole"] and self._is_current(record)]
            if len(known) == len(cases):
                found[path.stem] = (known[0]["title"], [record["figures"] for record in known])
        return found

    def _file(self, case: Case, name: str) -> Path:
        return self.folder / "garments" / case.name / f"{name}.json"

    def _keep_settings(self, training: Training) -> str:
        """Write the settings of a training down, in one file for all of its results, and return what names it."""
        name = digest(training.settled)
        if not self._settings_file(name).is_file():
            _write(self._settings_file(name), training.settled)
        return name

    def _is_of(self, record: Mapping[str, Any], training: Training) -> bool:
        """Whether a record's training went by the settings that this one has now."""
        path = self._settings_file(str(record["settings"]))
        return path.is_file() and training.is_of(json.loads(path.read_text(encoding="utf-8")))

    def _is_current(self, record: Mapping[str, Any]) -> bool:
        """Whether the settings of a record's training, if any, are still what they were then."""
        training = record["method"].get("training")
        return training is None or self._is_of(record, Training.of(training))

    def _settings_file(self, name: str) -> Path:
        return self.folder / "trainings" / f"{name}.json"

    def _read(self, path: Path, case: Case) -> dict[str, Any] | None:
        if not path.is_file():
            return None
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            same = record["garment"] == case.identity
            return record if same else None
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path}: cannot be read; remove it, and it is measured again") from None


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished:
        unfinished.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value

"""`log.jsonl` as one of accelerate's trackers, beside TensorBoard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from accelerate.tracking import GeneralTracker, on_main_process


class JsonLines(GeneralTracker):
    """A tracker that adds a line of JSON to `log.jsonl` at every reading.

    Args:
        path: of the file.
        resumed_at: the step that the run goes on from: what an interrupted run logged after it is dropped, since
            those steps are taken again.
    """

    name = "log.jsonl"
    requires_logging_directory = False

    def __init__(self, path: Path, resumed_at: int = 0) -> None:
        super().__init__()
        self.path = path
        self.resumed_at = resumed_at

    @property
    def tracker(self) -> Path:
        """The file, which is all there is to this tracker."""
        return self.path

    @on_main_process
    def start(self) -> None:
        """Make the file, or drop what the resumed steps will write again. Called by accelerate."""
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True) if self.path.is_file() else []
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= self.resumed_at]
        self.path.write_text("".join(kept), encoding="utf-8")

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Nothing: settings.yaml holds the settings."""

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Add one line: the step and its values."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

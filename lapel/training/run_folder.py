"""The run folder: what is in it, and whether a run starts in it or goes on."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from lapel.errors import UserError
from lapel.training.run_settings import RunSettings


@dataclass(frozen=True)
class RunFolder:
    """The places of a run's files."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Full states, a folder each."""
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        """The contact sheet, and its images."""
        return self.path / "samples"

    @property
    def photos(self) -> Path:
        """Small pictures of what the run saw of the garment, and the findings about it, for its page."""
        return self.path / "photos"

    @property
    def settings(self) -> Path:
        """The resolved settings: `--config settings.yaml` repeats the run."""
        return self.path / "settings.yaml"

    @property
    def log(self) -> Path:
        """A line of JSON for every reading of the loss."""
        return self.path / "log.jsonl"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def diffusers(self) -> Path:
        """A fine-tuned base for diffusers."""
        return self.path / "diffusers"

    def preview(self, step: int | None) -> Path | None:
        """The first sample of a step, or of the last that was sampled; None where none was."""
        first = sorted((self.samples / "images").glob("step-*-0.png"))
        of_step = [path for path in first if step is not None and path.stem == f"step-{step:06d}-0"]
        return next(reversed(of_step or first), None)

    def checkpoint_to_resume(self, settings: RunSettings) -> Path | None:
        """The checkpoint that the run goes on from; None where it starts at step 0.

        Raises:
            UserError: where there is nothing to resume; or an unfinished run that nobody asked to go on with.
        """
        found = checkpoints(self.checkpoints)
        if settings.resume:
            if not found:
                raise UserError(f"{self.checkpoints}: no checkpoint to resume; start without --resume")
            return found[-1]
        if found and not (self.path / "card.json").is_file() and not settings.overwrite:
            raise UserError(
                f"{self.path}: holds an unfinished run of {step_of(found[-1])} steps; go on with --resume, start over "
                "with --overwrite, or name another --output_dir"
            )
        return None

    def clear(self) -> None:
        """Remove what an earlier run left: its states and pictures would mix with those of the new one."""
        for folder in (self.checkpoints, self.samples, self.photos, self.tensorboard, self.diffusers):
            shutil.rmtree(folder, ignore_errors=True)
        for name in ("card.json", "README.md", "report.html", self.log.name):
            (self.path / name).unlink(missing_ok=True)


def checkpoints(folder: Path) -> list[Path]:
    """The whole checkpoints in a run's `checkpoints`, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / "state.json").is_file())


def step_of(checkpoint: Path) -> int:
    """The number of steps that a checkpoint has behind it."""
    return int(json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))["step"])

"""The folder datasets/ does not shadow Hugging Face's library, wherever a program runs from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("folder", [".", "trainers", "datasets"])
def test_datasets_is_hugging_faces_library(root: Path, folder: str) -> None:
    assert (root / "datasets").is_dir()
    assert not list((root / "datasets").rglob("*.py"))
    place = root / folder
    if not place.is_dir():
        pytest.skip(f"no folder {folder}")
    # The root stands first on the path, as it does for `python -m`, and for programs that add it themselves.
    program = f"import sys; sys.path.insert(0, {str(root)!r}); import datasets; print(datasets.Dataset.from_generator)"
    done = subprocess.run([sys.executable, "-c", program], cwd=place, capture_output=True, text=True)
    assert "Dataset.from_generator" in done.stdout, done.stderr

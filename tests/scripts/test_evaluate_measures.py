"""`scripts/evaluate.py measures` prints its three tables and leaves figures and a sheet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image


def test_known_changes_are_measured(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "scripts/evaluate.py", "measures", "--garments", "2", "--regions", "2", "--gallery", "3"]
    command += ["--text", "false", "--output_dir", str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "measures.json").read_text(encoding="utf-8"))
    colour = {what: sum(values) / len(values) for what, values in measured["garment"]["colour"].items()}
    assert colour["as it is"] < colour["colour 5"] < colour["colour 10"] < colour["colour 20"]
    assert abs(colour["scene"] - colour["as it is"]) < 1
    assert colour["colour 20"] - colour["as it is"] > 12
    structure = measured["garment"]["structure"]
    assert min(structure["scale by 1"]) > max(structure["colour 10"])
    leak = [values[0] for values in measured["sets"]["background leak"].values()]
    assert leak == sorted(leak)
    assert (leak[0], leak[-1]) == pytest.approx((0, 1), abs=0.01)
    for line in ("| colour |", "| prompt kept |", "| worn | intake |"):
        assert line in done.stdout
    with Image.open(tmp_path / "measures.png") as sheet:
        assert sheet.width > 10 * 96

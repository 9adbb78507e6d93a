"""`scripts/evaluate.py intake` tells rates, shares of the time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_shares_of_the_time(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "scripts/evaluate.py", "intake", "--photos", "21", "--size", "128", "--encoded", "1"]
    done = subprocess.run([*command, "--output_dir", str(tmp_path)], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "21/21" in done.stderr  # the bar of a large folder
    measured = json.loads((tmp_path / "intake.json").read_text(encoding="utf-8"))
    stages = measured["stages"]
    assert min(stages[name] for name in ("decoding", "masking", "storing", "encoding")) > 0
    assert stages["masking"] > stages["decoding"]
    taken = sum(seconds for name, seconds in stages.items() if name != "encoding")
    assert taken == pytest.approx(measured["work"])
    assert taken < 21 * 2
    assert 0 < measured["megabytes"][0] <= measured["megabytes"][1]

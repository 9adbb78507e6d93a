"""`scripts/evaluate.py masks` prints its tables and leaves figures and a sheet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image


def test_wardrobe_table(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "scripts/evaluate.py", "masks", "--wardrobe", "4", "--size", "128"]
    command += ["--photos_dir", str(tmp_path / "none"), "--output_dir", str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "only the wardrobe is measured" in done.stdout
    measured = json.loads((tmp_path / "masks.json").read_text(encoding="utf-8"))
    assert [row["overlap"] > 0.3 for row in measured["Wardrobe"]] == [True] * 4
    assert f"worst: {min(measured['Wardrobe'], key=lambda row: row['overlap'])['photo']}" in done.stdout
    with Image.open(tmp_path / "masks.png") as sheet:
        assert sheet.width > 4 * 100

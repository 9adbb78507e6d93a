"""`scripts/report.py` writes a run's page anew from its folder, and refuses what is no run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def report(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/report.py", *arguments], cwd=root, capture_output=True, text=True, check=False
    )


def test_a_run_that_was_cut_off_gets_its_page(root: Path, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("base: tiny\nsteps: 300\n", encoding="utf-8")
    (tmp_path / "log.jsonl").write_text('{"step": 10, "loss": 0.5}\n{"step": 20, "lo', encoding="utf-8")
    done = report(root, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "report.html")
    assert "10 of 300 steps" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_no_run_is_one_line(root: Path, tmp_path: Path) -> None:
    for folder, said in ((tmp_path, "no run folder"), (tmp_path / "none", "no such folder")):
        done = report(root, str(folder))
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert said in done.stderr

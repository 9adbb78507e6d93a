"""`scripts/evaluate.py formats` and `loading` hold what comes back against what went in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def run(root: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/evaluate.py", *map(str, arguments)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_way_of_tiny(root: Path, tmp_path: Path) -> None:
    done = run(root, "formats", "--families", "tiny", "--output_dir", tmp_path)
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "formats.json").read_text(encoding="utf-8"))
    ways = measured["tiny"]["ways"]
    assert {way["layers"] for way in ways if way["kind"] == "LoCon"} == {302}
    assert {way["name"] for way in ways if way["kind"] == "LoRA"} > {"kohya to peft", "diffusers to kohya", "peft"}
    assert measured["tiny"]["round_trip"]["single_file_weights"] == 0
    # What is there already is not measured again; and what is above its floor is said.
    ways[0]["difference"] = 0.5
    (tmp_path / "formats.json").write_text(json.dumps(measured), encoding="utf-8")
    again = run(root, "formats", "--families", "tiny", "--output_dir", tmp_path)
    assert again.returncode == 1
    assert again.stderr.strip() == "tiny LoRA, kohya: a layer differs by 5.00e-01"


@pytest.mark.slow
def test_loading_takes_little_more_than_the_weights(root: Path, tmp_path: Path) -> None:
    done = run(root, "loading", "--families", "sd15", "--precisions", "bf16", "--output_dir", tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    loads = json.loads((tmp_path / "loading.json").read_text(encoding="utf-8"))
    assert [load["container"] for load in loads] == ["safetensors", "ckpt"]
    assert all(0.9 < load["most"] / load["weights"] < 1.15 for load in loads)
    assert not (tmp_path / "scratch").exists()

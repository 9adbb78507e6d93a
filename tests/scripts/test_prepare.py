"""`scripts/prepare.py` shows a folder as a training will see it, and refuses it where a training would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PIL import Image

from lapel.report.photos import outlined
from lapel.wardrobe import sample_garment
from lapel.wardrobe.folders import write_garment_folder


def prepare(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/prepare.py", *arguments], cwd=root, capture_output=True, text=True, check=False
    )


def test_page_and_sheet(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "<tee>"
    write_garment_folder(sample_garment(5, "train"), folder, (("front", "grey studio"), ("worn", "park")), size=160)
    out = tmp_path / "out"
    arguments = ["--garment_dir", str(folder), "--output_dir", str(out), "--cache_dir", str(tmp_path / "cache")]
    done = prepare(root, *arguments, "--backdrops", "0")
    assert done.returncode == 0, done.stderr
    assert "only 2 photos" in done.stdout
    assert "01-front.jpg" in done.stdout
    html = (out / "photos.html").read_text(encoding="utf-8")
    assert html.count("data:image/webp;base64,") == 6
    assert "<h1>&lt;tee&gt;</h1>" in html
    assert "the back was never seen (seen: front, worn)" in html
    assert "a photo of a person wearing ohwx" in html
    with Image.open(out / "photos.png") as sheet:
        assert sheet.height > 2 * 200


def test_backdrops_are_shown_as_the_preset_has_them(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tee"
    write_garment_folder(sample_garment(5, "train"), folder, (("front", "white studio"),), size=160)
    preset = tmp_path / "preset.yaml"
    preset.write_text("base: tiny\nbackdrops: 3\nbackdrop_kinds: [scene]\nrank: 8\nsteps: 10\n", encoding="utf-8")
    arguments = ["--garment_dir", str(folder), "--output_dir", str(tmp_path), "--cache_dir", str(tmp_path / "cache")]
    done = prepare(root, *arguments, "--config", str(preset))
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "photos.html").read_text(encoding="utf-8")
    assert html.count("data:image/webp;base64,") == 3 + 3
    done = prepare(root, *arguments, "--rank", "8")
    assert done.returncode == 2
    assert "--rank: no such setting" in done.stderr


def test_written_captions_are_kept(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tee"
    write_garment_folder(sample_garment(5, "train"), folder, (("front", "grey studio"), ("worn", "park")), size=128)
    (folder / "01-front.txt").write_text("{garment} on a table", encoding="utf-8")
    arguments = ["--garment_dir", str(folder), "--output_dir", str(tmp_path), "--cache_dir", str(tmp_path / "cache")]
    assert prepare(root, *arguments, "--write_captions").returncode == 0
    assert (folder / "01-front.txt").read_text(encoding="utf-8") == "{garment} on a table"
    assert (folder / "02-worn.txt").read_text(encoding="utf-8") == "a photo of a person wearing {garment}\n"
    done = prepare(root, *arguments, "--trigger", "zwk")
    assert "zwk t-shirt on a table" in done.stdout
    assert "a photo of a person wearing zwk t-shirt" in done.stdout


def test_a_broken_folder_is_refused_without_a_page(root: Path, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png"):
        (tmp_path / name).write_bytes(b"no picture")
    done = prepare(root, "--garment_dir", str(tmp_path), "--output_dir", str(tmp_path / "out"))
    assert done.returncode == 2
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == [
        str(tmp_path / "a.jpg"),
        str(tmp_path / "b.png"),
    ]
    assert not (tmp_path / "out").exists()


def test_outline_is_where_the_mask_ends_also_when_softened() -> None:
    grey, mask = Image.new("RGB", (480, 480), (90, 90, 90)), Image.new("L", (480, 480), 102)
    mask.paste(255, (100, 100, 300, 300))
    drawn = outlined(grey, mask, trust=0.6)
    assert drawn.getpixel((100, 200)) == (255, 0, 200)
    assert drawn.getpixel((50, 50)) == drawn.getpixel((200, 200)) == (90, 90, 90)
    assert outlined(grey, Image.new("L", (480, 480), 255), trust=0.0).tobytes() == grey.tobytes()

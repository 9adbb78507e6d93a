"""Every finding is told of photos that have the fault, and of no others."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from lapel.errors import UserError
from lapel.photos import GarmentFolder, PhotoSettings, read_garment
from lapel.photos.borders import border_of
from lapel.photos.read import read_picture
from lapel.wardrobe import sample_garment
from lapel.wardrobe.folders import write_garment_folder

VIEWS = (("front", "white studio"), ("front", "grey studio"), ("back", "white studio"), ("front", "beach"))
Change = Callable[[Image.Image], Image.Image]


def read(folder: Path, resolution: int = 256) -> GarmentFolder:
    return read_garment(PhotoSettings(garment_dir=folder), resolution, 8, folder.parent / "cache")


def found(garment: GarmentFolder, level: str = "") -> list[str]:
    return [finding.line() for finding in garment.findings if finding.level.startswith(level)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four good photos of a garment."""
    write_garment_folder(sample_garment(12, "train"), tmp_path / "tee", VIEWS, size=256)
    return tmp_path / "tee"


def change(path: Path, how: Change) -> None:
    how(Image.open(path).convert("RGB")).save(path, quality=95)


def tinted(photo: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(photo) * np.array([1, 0.9, 0.6])).astype(np.uint8))


def test_good_photos_have_no_faults(folder: Path) -> None:
    assert found(read(folder), "warning") == found(read(folder), "error") == []


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (lambda photo: photo.filter(ImageFilter.GaussianBlur(2)), "blurred"),
        (tinted, "its colours are off by"),
        (lambda photo: photo.point(lambda value: max(0, 3 * value - 400)), "under-exposed"),
        (lambda photo: photo.resize((90, 90)), "smaller than the training size: enlarged 2.8 times"),
    ],
)
def test_a_fault_is_told_of_its_photo(folder: Path, how: Change, told: str) -> None:
    change(folder / "02-front.jpg", how)
    lines = found(read(folder), "warning")
    assert [line for line in lines if line.startswith("warning: 02-front.jpg: ") and told in line]
    assert not [line for line in lines if told in line and not line.startswith("warning: 02-front.jpg: ")]


def test_bars_around_a_photo_are_told_with_their_size(folder: Path) -> None:
    change(folder / "02-front.jpg", lambda photo: ImageOps.expand(photo, (0, 20), "black"))
    change(folder / "04-front.jpg", lambda photo: ImageOps.expand(photo, 16, "white"))
    bars, frame = (line.split("; ")[0] for line in found(read(folder), "warning") if "has a border" in line)
    assert bars == "warning: 02-front.jpg: has a border (20 at the top, 20 at the bottom, in pixels)"
    # JPEG has blurred the colours of the frame's last pixel.
    assert re.findall(r"1[56] at the (\w+)", frame) == ["left", "top", "right", "bottom"]
    assert frame.startswith("warning: 04-front.jpg: ")


def test_real_photos_have_no_borders(real_photos: Path) -> None:
    paths = [path for path in real_photos.rglob("*") if path.suffix in (".jpg", ".jpeg", ".png")]
    photos = {path: np.asarray(read_picture(path, "white").colour) for path in paths if "mask" not in path.stem}
    assert {path.name: border for path, photo in photos.items() if any(border := border_of(photo))} == {}


def test_near_identical_photos_are_told_once(folder: Path) -> None:
    photo = Image.open(folder / "01-front.jpg")
    photo.resize((250, 250)).save(folder / "05-front.jpg", quality=80)
    photo.save(folder / "06-front.jpg", quality=60)
    assert [line for line in found(read(folder)) if "identical" in line] == [
        "warning: 01-front.jpg, 05-front.jpg, 06-front.jpg: 3 near-identical photos; "
        "keep one of them, or the others count that much less"
    ]


def test_exact_copies_are_told(folder: Path) -> None:
    (folder / "copy.jpg").write_bytes((folder / "03-back.jpg").read_bytes())
    assert any(line.startswith("warning: 03-back.jpg, copy.jpg: 2 identical photos") for line in found(read(folder)))


def test_views_never_seen(folder: Path) -> None:
    (folder / "03-back.jpg").unlink()
    assert any("the back was never seen (seen: front)" in line for line in found(read(folder), "note"))
    for number, path in enumerate(sorted(folder.glob("*.jpg"))):
        path.rename(folder / f"IMG_{number}.jpg")
    assert any("no file name tells a view" in line for line in found(read(folder), "note"))


def test_frames_and_numbers(folder: Path) -> None:
    for path in sorted(folder.glob("*.jpg"))[1:]:
        path.unlink()
    photo = Image.open(folder / "01-front.jpg")
    photo.save(folder / "moving.webp", save_all=True, append_images=[photo.rotate(90)])
    lines = found(read(folder))
    assert any("only 2 photos" in line for line in lines)
    assert any(line.startswith("note: moving.webp: holds 2 frames") for line in lines)


def test_two_colourways_are_an_error_that_names_the_odd_one(folder: Path) -> None:
    other = sample_garment(12, "train")
    blue, red = ("blue",) * len(other.colours), ("red",) * len(other.colours)
    write_garment_folder(dataclasses.replace(other, colours=red), folder, VIEWS, size=256)
    write_garment_folder(dataclasses.replace(other, colours=blue), folder / "odd", VIEWS[1:2], size=256)
    (folder / "odd" / "01-front.jpg").rename(folder / "05-front.jpg")
    garment = read(folder)
    (line,) = found(garment, "error")
    assert line.startswith("error: 05-front.jpg: its garment has other colours than in 0")
    with pytest.raises(UserError, match=r"05-front\.jpg") as error:
        garment.require_sound()
    assert len(error.value.lines) == 1


def test_real_colourways(real_photos: Path, tmp_path: Path) -> None:
    """Two of each are told apart; the photos of one garment are never taken for two."""
    for pair in sorted((real_photos / "colourway-pairs").iterdir()):
        garment = tmp_path / pair.name
        garment.mkdir()
        for name in ("a.jpg", "b.jpg"):
            (garment / name).write_bytes((pair / name).read_bytes())
        (garment / "garment.yaml").write_text(f"class_word: {'shorts' if 'sh' in pair.name else 'sweatshirt'}\n")
        assert any("other colours than in" in line for line in found(read(garment))), pair.name
    for kind in ("saleor", "solidus", "dreambooth"):
        for folder in sorted(path for path in (real_photos / kind).iterdir() if path.is_dir()):
            settings = PhotoSettings(garment_dir=folder)
            assert found(read_garment(settings, 256, 8, tmp_path / "cache"), "error") == [], folder

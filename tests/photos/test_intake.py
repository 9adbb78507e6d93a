"""A garment folder becomes examples, with every finding told at once and nothing stale."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lapel.errors import UserError
from lapel.photos import GarmentFolder, PhotoSettings, check_garment_dir, read_garment


def draw_photo(path: Path, colour: str = "navy", size: tuple[int, int] = (300, 400)) -> None:
    photo = Image.new("RGB", size, "white")
    ImageDraw.Draw(photo).rectangle((size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4), colour)
    photo.save(path, quality=95)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A garment folder as shops have them: two photos, and files that are none."""
    garment = tmp_path / "striped-tee"
    garment.mkdir()
    draw_photo(garment / "tee_front.jpg")
    draw_photo(garment / "tee_back.jpg", size=(400, 300))
    (garment / "notes.txt").write_text("sizes run small", encoding="utf-8")
    (garment / "Thumbs.db").write_bytes(b"\0")
    (garment / "._tee_front.jpg").write_bytes(b"resource fork")
    return garment


@pytest.fixture
def read(folder: Path, tmp_path: Path) -> Callable[..., GarmentFolder]:
    def read(resolution: int = 96, **settings: str) -> GarmentFolder:
        return read_garment(PhotoSettings(garment_dir=folder, **settings), resolution, 8, tmp_path / "cache")

    return read


def test_examples(read: Callable[..., GarmentFolder]) -> None:
    garment = read()
    assert (garment.name, garment.class_word, garment.trigger) == ("striped-tee", "t-shirt", "ohwx")
    back, front = garment.photos
    assert (back["file"], front["file"]) == ("tee_back.jpg", "tee_front.jpg")
    assert (back["width"], back["height"], front["width"], front["height"]) == (112, 80, 80, 112)
    for row in (back, front):
        assert row["image"].mode == "RGB"
        assert row["mask"].mode == "L"
        assert row["image"].size == row["mask"].size == (row["width"], row["height"])
        assert row["mask_source"] == "background"
        assert np.asarray(row["mask"]).mean() / 255 == pytest.approx(0.25, abs=0.03)
    assert front["caption"] == "a photo of ohwx t-shirt, front view"
    assert back["view"] == "back"
    assert [finding.what for finding in garment.findings] == ["only 2 photos"]


def test_captions_class_word_and_trigger_from_files(folder: Path, read: Callable[..., GarmentFolder]) -> None:
    (folder / "tee_back.txt").write_text("the back of a top in navy", encoding="utf-8")
    row = {"file_name": "tee_front.jpg", "text": "navy jersey"}
    (folder / "metadata.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (folder / "garment.yaml").write_text("class_word: top\ntrigger: zwk\n", encoding="utf-8")
    assert list(read().photos["caption"]) == ["the back of a zwk top in navy", "a photo of zwk top, navy jersey"]
    assert read(class_word="jersey", trigger="qqq").photos["caption"][1] == "navy qqq jersey"


def test_class_word_from_the_dataset_card(folder: Path) -> None:
    plain = folder.rename(folder.parent / "sku-12")
    assert check_garment_dir(PhotoSettings(garment_dir=plain)).class_word == "garment"
    (plain / "README.md").write_text("---\npretty_name: Grey hoodie\n---\nA dress of ours.\n", encoding="utf-8")
    assert check_garment_dir(PhotoSettings(garment_dir=plain)).class_word == "hoodie"


def test_masks_by_source(folder: Path, read: Callable[..., GarmentFolder]) -> None:
    mask = Image.new("L", (300, 400))
    mask.paste(255, (0, 0, 300, 100))
    mask.save(folder / "tee_front.mask.png")
    cutout = Image.open(folder / "tee_back.jpg").convert("RGBA")
    cutout.putalpha(Image.linear_gradient("L").resize(cutout.size))
    cutout.save(folder / "tee_cutout.png")
    busy = np.random.default_rng(1).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(busy).save(folder / "tee_street.png")
    garment = read()
    rows = {row["file"]: row for row in garment.photos}
    sources = {name: row["mask_source"] for name, row in rows.items()}
    assert sources == {
        "tee_back.jpg": "background",
        "tee_front.jpg": "file",
        "tee_cutout.png": "alpha",
        "tee_street.png": "none",
    }
    assert np.asarray(rows["tee_front.jpg"]["mask"]).mean() / 255 == pytest.approx(0.25, abs=0.02)
    # In noise nothing can be told, so all of the photo is learned, and a finding says so.
    assert rows["tee_street.png"]["mask"].getextrema() == (255, 255)
    assert [finding for finding in garment.findings if finding.about == "tee_street.png"]


def test_nothing_stale_is_read(folder: Path, read: Callable[..., GarmentFolder]) -> None:
    seen = {read().photos._fingerprint}

    def changed(garment: GarmentFolder) -> GarmentFolder:
        assert garment.photos._fingerprint not in seen
        seen.add(garment.photos._fingerprint)
        return garment

    draw_photo(folder / "tee_front.jpg", "darkred")
    centre = changed(read()).photos[1]["image"].getpixel((40, 56))
    assert np.abs(np.array(centre) - [139, 0, 0]).max() < 12
    Image.new("L", (300, 400), 255).save(folder / "tee_front.mask.png")
    assert changed(read()).photos[1]["mask"].getextrema() == (255, 255)
    (folder / "tee_front.txt").write_text("a red tee", encoding="utf-8")
    assert changed(read()).photos[1]["caption"] == "a photo of ohwx t-shirt, a red tee"
    assert "zzz" in changed(read(trigger="zzz")).photos[1]["caption"]
    assert changed(read(128)).photos[1]["height"] == 128
    changed(read(background="black"))
    (folder / "tee_front.jpg").unlink()
    (folder / "tee_front.mask.png").unlink()
    assert list(changed(read()).photos["file"]) == ["tee_back.jpg"]


def test_unchanged_folder_is_read_from_the_cache(tmp_path: Path, read: Callable[..., GarmentFolder]) -> None:
    first = read().photos
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.arrow")}
    assert made
    second = read().photos
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.arrow")} == made
    assert second[0]["image"].tobytes() == first[0]["image"].tobytes()


def test_small_photos_are_enlarged_and_told(folder: Path, read: Callable[..., GarmentFolder]) -> None:
    draw_photo(folder / "tiny.png", size=(64, 64))
    (finding,) = [finding for finding in read(128).findings if finding.about == "tiny.png" and "size" in finding.what]
    assert finding.line().startswith("warning: tiny.png: smaller than the training size: enlarged 2.0 times; ")


def test_all_findings_are_told_at_once(folder: Path, read: Callable[..., GarmentFolder]) -> None:
    content = (folder / "tee_front.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(content[: len(content) // 2])
    (folder / "zero.png").write_bytes(b"")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.new("L", (10, 10), 255).save(folder / "tee_front.mask.png")
    Image.new("L", (400, 300), 0).save(folder / "tee_back.mask.png")
    expected = {
        "cut.jpg": "cut short",
        "zero.png": "empty file",
        "dot.png": "1 x 1",
        "tee_front.mask.png": "10 x 10 pixels but tee_front.jpg is 300 x 400",
        "tee_back.mask.png": "black all over",
    }
    for refuse in (read, lambda: check_garment_dir(PhotoSettings(garment_dir=folder))):
        with pytest.raises(UserError) as error:
            refuse()
        lines = error.value.lines
        assert len(lines) == len(expected)
        for name, finding in expected.items():
            assert [line for line in lines if line.startswith(f"{folder / name}:") and finding in line]


def test_folders_without_photos(tmp_path: Path) -> None:
    def finding(folder: Path) -> str:
        with pytest.raises(UserError) as error:
            check_garment_dir(PhotoSettings(garment_dir=folder))
        (line,) = error.value.lines
        assert line.startswith(f"{folder}:")
        return line

    assert "no such folder" in finding(tmp_path / "nowhere")
    (tmp_path / "shop").mkdir()
    assert "is empty" in finding(tmp_path / "shop")
    (tmp_path / "shop" / "prices.txt").write_text("9.99", encoding="utf-8")
    assert "holds no photos" in finding(tmp_path / "shop")
    assert "not a folder" in finding(tmp_path / "shop" / "prices.txt")
    (tmp_path / "shop" / "tee").mkdir()
    draw_photo(tmp_path / "shop" / "tee" / "a.jpg")
    assert "give one of them: tee" in finding(tmp_path / "shop")


def test_faults_in_the_files_beside_the_photos(folder: Path) -> None:
    Image.new("L", (9, 9), 255).save(folder / "gone.mask.png")
    (folder / "metadata.jsonl").write_text('{"file_name": "gone.jpg", "text": "a"}\n{"text"\n', encoding="utf-8")
    (folder / "garment.yaml").write_text('clas_word: tee\ntrigger: "oh\\nwx"\n', encoding="utf-8")
    (folder / "tee_front.txt").write_bytes(b"caf\xe9")
    with pytest.raises(UserError) as error:
        check_garment_dir(PhotoSettings(garment_dir=folder))
    text = str(error.value)
    assert len(error.value.lines) == 6
    assert "trigger: several lines; give one" in text
    assert "gone.mask.png: a mask without its photo" in text
    assert "names gone.jpg, which is not a photo" in text
    assert "line 2 names no photo" in text
    assert "the nearest is class_word" in text
    assert "tee_front.txt: not UTF-8" in text


def test_settings_refuse_what_cannot_be() -> None:
    with pytest.raises(UserError) as error:
        PhotoSettings(Path("x"), resolution=3, background="no colour", trigger=" ")
    assert [line.split()[0] for line in error.value.lines] == ["--resolution", "--background", "--trigger"]


def test_real_folders_go_through(real_photos: Path, tmp_path: Path) -> None:
    folder = real_photos / "magento-luma" / "mh05-white-navy-raglan-hoodie"
    garment = read_garment(PhotoSettings(garment_dir=folder), 96, 8, tmp_path)
    assert garment.class_word == "hoodie"
    assert len(garment.photos) == 3
    assert list(garment.photos["mask_source"]) == ["scene", "worn", "worn"]
    assert list(zip(garment.photos["view"], garment.photos["view_source"], strict=True)) == [
        ("detail", "rule"),
        ("back", "name"),
        ("worn", "mask"),
    ]

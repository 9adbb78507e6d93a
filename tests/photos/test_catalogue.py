"""Catalogues of every kind become rows with targets, cutouts and captions that leave the looks to the photo."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lapel.errors import UserError
from lapel.photos.catalogue import Catalogue, CatalogueSettings, list_catalogue, read_catalogue
from lapel.photos.cutout import LARGEST, MARGIN, cut_out
from lapel.wardrobe import COLOURS, PATTERNS


def draw_photo(path: Path, colour: str = "firebrick") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    photo = Image.new("RGB", (96, 120), "white")
    ImageDraw.Draw(photo).rectangle((30, 20, 65, 100), colour, "navy", 3)
    photo.save(path)


def read(catalogue: object, cache: Path, **changes: object) -> Catalogue:
    settings = CatalogueSettings(catalogue=str(catalogue), **changes)  # type: ignore[arg-type]
    return read_catalogue(settings, resolution=64, multiple=32, cache_dir=cache)


def metadata(folder: Path) -> Path:
    lines = [
        {"SKU": "A1", "image": "a/1.png", "view": "front", "caption": "A red linen shirt", "mask": "a/1-mask.png"},
        {"SKU": "A1", "image": "a/2.png", "view": "worn"},
        {"SKU": "B2", "image": "b/1.png", "view": "back", "class_word": "skirt"},
    ]
    for line in lines:
        draw_photo(folder / line["image"])
    mask = Image.new("L", (96, 120))
    ImageDraw.Draw(mask).rectangle((30, 20, 65, 100), 255)
    mask.save(folder / "a" / "1-mask.png")
    path = folder / "shop.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_a_metadata_file_says_which_photo_is_of_which_garment(tmp_path: Path) -> None:
    rows = read(metadata(tmp_path), tmp_path / "cache").photos
    assert rows["garment"] == [0, 0, 1]
    assert rows["sku"] == ["A1", "A1", "B2"]
    assert rows["view"] == ["front", "worn", "back"]
    assert rows["mask_source"][0] == "file"
    assert rows["class_word"] == ["shirt", "shirt", "skirt"]
    assert rows["caption"] == [
        "a photo of a shirt, front view",
        "a photo of a person wearing a shirt",
        "a photo of a skirt, back view",
    ]
    assert rows["described"] == ["A red linen shirt", *rows["caption"][1:]]
    first = rows[0]
    assert first["image"].size == first["mask"].size == (first["width"], first["height"])
    assert first["cutout"].width == first["cutout"].height


def test_csv_does_as_well_and_written_captions_are_taken_when_asked_for(tmp_path: Path) -> None:
    metadata(tmp_path)
    path = tmp_path / "shop.csv"
    path.write_text(
        "sku;image;view;caption\nA1;a/1.png;front;A red linen {garment}\nB2;b/1.png;;\n", encoding="utf-8-sig"
    )
    rows = read(path, tmp_path / "cache", captions="written").photos
    assert rows["caption"][0] == "A red linen garment"
    assert rows["caption"][1].startswith("a photo of ")
    assert read(path, tmp_path / "cache", captions="written").descriptions == 0
    assert read(path, tmp_path / "cache").descriptions == 1


def test_garment_folders_in_a_folder(tmp_path: Path) -> None:
    for name in ("red-dress", "blue-skirt"):
        draw_photo(tmp_path / "shop" / name / "front.png")
        draw_photo(tmp_path / "shop" / name / "back.png")
    catalogue = read(tmp_path / "shop", tmp_path / "cache")
    assert (catalogue.name, catalogue.garments) == ("shop", 2)
    assert catalogue.photos["class_word"] == ["skirt", "skirt", "dress", "dress"]
    assert catalogue.first_photos(2) == [0, 2]
    assert catalogue.first_photos(9) == [0, 2]


def test_the_wardrobe_draws_flat_and_worn_photos_whose_captions_leave_out_the_looks(tmp_path: Path) -> None:
    catalogue = read("wardrobe:3", tmp_path)
    assert catalogue.descriptions == 18
    rows = catalogue.photos
    assert rows["garment"] == [number for number in range(3) for _ in range(6)]
    assert rows["view"] == ["front", "front", "back", "worn", "worn", "worn"] * 3
    for caption, word in zip(rows["caption"], rows["class_word"], strict=True):
        assert word in caption
        told = caption.replace(word, "").replace("white studio", "").replace("grey studio", "")
        looks = told.split(" hair")[-1] if " hair" in told else told
        assert not [name for name in (*COLOURS, *PATTERNS) if name in looks.split()], caption
    for described, word in zip(rows["described"], rows["class_word"], strict=True):
        before = described.split(word)[0].replace("white studio", "").replace("grey studio", "").split(" hair")[-1]
        assert [name for name in (*COLOURS, *PATTERNS) if name in before.split(" with ")[0]], described
    assert rows[0]["image"].size == (64, 64)


def test_reading_again_takes_the_cache_and_a_changed_photo_does_not(tmp_path: Path) -> None:
    path = metadata(tmp_path)
    first = read(path, tmp_path / "cache").photos
    again = read(path, tmp_path / "cache").photos
    assert first._fingerprint == again._fingerprint
    draw_photo(tmp_path / "b" / "1.png", "green")
    changed = read(path, tmp_path / "cache").photos
    assert changed._fingerprint != first._fingerprint
    assert changed[2]["image"] != first[2]["image"]


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    draw_photo(tmp_path / "1.png")
    path = tmp_path / "shop.csv"
    rows = ["sku,image,view", "A1,1.png,front", "A1,1.png,front", ",1.png,", "B2,gone.png,", "B2,1.png,inside"]
    path.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        list_catalogue(CatalogueSettings(catalogue=str(path)))
    told = caught.value.lines
    assert len(told) == 4
    for line, words in zip(told, ("again", "gives no sku", "gone.png is not there", "1.png again"), strict=True):
        assert str(path) in line
        assert words in line


@pytest.mark.parametrize(
    ("catalogue", "words"),
    [("wardrobe:many", "number of garments"), ("wardrobe:1", "number of garments"), ("nowhere", "no catalogue")],
)
def test_what_is_no_catalogue_is_an_error(catalogue: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        list_catalogue(CatalogueSettings(catalogue=catalogue))


def test_one_garment_is_no_catalogue(tmp_path: Path) -> None:
    draw_photo(tmp_path / "shop" / "red-dress" / "front.png")
    with pytest.raises(UserError, match="holds 1 garment"):
        list_catalogue(CatalogueSettings(catalogue=str(tmp_path / "shop")))


@pytest.mark.parametrize("size", [(300, 120), (90, 400), (2000, 1500)])
def test_a_cutout_keeps_the_garments_shape_and_nothing_else(size: tuple[int, int]) -> None:
    width, height = size
    photo, mask = Image.new("RGB", (width + 60, height + 90), "green"), Image.new("L", (width + 60, height + 90))
    photo.paste("red", (25, 40, 25 + width, 40 + height))
    mask.paste(255, (25, 40, 25 + width, 40 + height))
    cutout = cut_out(photo, mask)
    assert cutout.width == cutout.height <= LARGEST
    pixels = np.array(cutout).astype(int)
    red = (np.abs(pixels - (255, 0, 0)).sum(axis=2) < 60).nonzero()
    tall, wide = np.ptp(red[0]) + 1, np.ptp(red[1]) + 1
    assert wide / tall == pytest.approx(width / height, rel=0.05)
    assert max(tall, wide) / cutout.width == pytest.approx(1 - 2 * MARGIN, abs=0.02)
    assert (pixels[0] == 255).all()
    assert not (np.abs(pixels - (0, 128, 0)).sum(axis=2) < 60).any()


def test_without_a_mask_the_whole_photo_is_padded() -> None:
    cutout = cut_out(Image.new("RGB", (40, 80), "green"), Image.new("L", (40, 80)))
    assert cutout.width == cutout.height
    assert (np.array(cutout) == (0, 128, 0)).all(axis=2).sum() == 40 * 80

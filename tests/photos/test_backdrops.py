"""Photos on other backgrounds: which ones, in what words, and without a fringe of the old one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lapel.errors import UserError
from lapel.photos import PhotoSettings, check_garment_dir, read_garment
from lapel.photos.backdrops import Backdrop, backdrops_for, caption_on, list_pictures, put_on
from lapel.wardrobe import sample_garment
from lapel.wardrobe.folders import write_garment_folder

ROW: dict[str, Any] = {"movable": True, "content": "00000000000a" + "0" * 52, "colours": ["white #f0f0f0 0.9"]}
COLOUR = st.tuples(*[st.integers(0, 255)] * 3)


def chosen(row: dict[str, Any] = ROW, pictures: tuple[Backdrop, ...] = (), **changes: Any) -> list[Backdrop]:
    return backdrops_for(row, PhotoSettings(Path("x"), **changes), pictures)


@settings(deadline=None, max_examples=25)
@given(COLOUR, COLOUR, COLOUR, st.floats(0.5, 5))
def test_a_soft_edge_brings_no_old_colour_along(
    garment: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...], softness: float
) -> None:
    across = np.arange(96)
    alpha = np.clip((40 - np.abs(across - 48)) / softness, 0, 1) * np.ones((96, 1))

    def mixed(behind: tuple[int, ...]) -> np.ndarray:
        return alpha[..., None] * np.array(garment) + (1 - alpha[..., None]) * np.array(behind)

    photo = Image.fromarray(mixed(before).round().astype(np.uint8))
    figure = Image.fromarray((alpha * 255).round().astype(np.uint8))
    moved = np.asarray(put_on(photo, figure, Image.new("RGB", photo.size, after)), dtype=float)
    # Composited as it is, a photo would bring a quarter of the contrast along where it is half background.
    contrast = np.abs(np.subtract(garment, before)).max()
    assert np.abs(moved - mixed(after)).max() <= 2 + contrast / 25


def test_inside_the_garment_the_photo_stays_as_it_was() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    half = np.zeros((60, 80), np.uint8)
    half[:, :40] = 255
    moved = np.asarray(put_on(Image.fromarray(pixels), Image.fromarray(half), Image.new("RGB", (80, 60), "red")))
    assert (moved[:, :40] == pixels[:, :40]).all()
    assert (moved[:, 40:] == [255, 0, 0]).all()


def test_the_same_photo_gets_the_same_backdrops_and_another_one_others() -> None:
    kinds = ["plain", "gradient", "scene"]
    assert chosen(backdrops=6, backdrop_kinds=kinds) == chosen(backdrops=6, backdrop_kinds=kinds)
    other = {**ROW, "content": "f" * 64}
    assert chosen(backdrops=6, backdrop_kinds=kinds) != chosen(other, backdrops=6, backdrop_kinds=kinds)
    assert chosen(backdrops=9, backdrop_kinds=kinds)[:6] == chosen(backdrops=6, backdrop_kinds=kinds)
    one, again = (chosen(backdrops=6, backdrop_kinds=kinds)[3].paint(40, 30) for _ in range(2))
    assert one.tobytes() == again.tobytes()
    assert one.size == (40, 30)


def test_kinds_take_turns_and_no_scene_comes_twice_before_all_came() -> None:
    both = chosen(backdrops=8, backdrop_kinds=["plain", "scene"])
    assert Counter(backdrop.kind for backdrop in both) == {"plain": 4, "scene": 4}
    scenes = chosen(backdrops=20, backdrop_kinds=["scene"])
    assert set(Counter(backdrop.name for backdrop in scenes).values()) == {2}
    assert len({backdrop.name for backdrop in scenes[:10]}) == 10


def test_a_plain_backdrop_is_of_its_colour_and_never_the_garments() -> None:
    plain = chosen(backdrops=40, backdrop_kinds=["plain"])
    assert "white" not in {backdrop.name for backdrop in plain}
    for backdrop in plain:
        low, high = zip(*backdrop.paint(8, 8).getextrema(), strict=True)
        assert low == high
    red = next(backdrop for backdrop in plain if backdrop.name == "red").paint(1, 1).getpixel((0, 0))
    assert np.abs(np.array(red) - (208, 32, 38)).max() <= 8
    words = {backdrop.name: backdrop.words for backdrop in plain}
    assert words["orange"] == "on an orange background"
    row = {"composed": "a photo of ohwx tee", "caption": "our tee on a table"}
    assert caption_on(row, plain[0]) == f"a photo of ohwx tee, {plain[0].words}"


def test_ones_own_pictures_join_in_with_their_words(tmp_path: Path) -> None:
    for name, size in (("sunny-beach.jpg", (90, 70)), ("IMG_2041.jpg", (70, 90)), ("c.png", (80, 80))):
        Image.new("RGB", size, "teal").save(tmp_path / name)
    (tmp_path / "c.txt").write_text("under  palm trees\n", encoding="utf-8")
    pictures = list_pictures(PhotoSettings(Path("x"), backdrop_dir=tmp_path))
    assert {Path(p.name).name: p.words for p in pictures} == {
        "sunny-beach.jpg": "sunny beach",
        "IMG_2041.jpg": "",
        "c.png": "under palm trees",
    }
    on = chosen(ROW, tuple(pictures), backdrops=4, backdrop_kinds=["plain"], backdrop_dir=tmp_path)
    assert Counter(backdrop.kind for backdrop in on) == {"plain": 2, "folder": 2}
    painted = next(backdrop for backdrop in on if backdrop.kind == "folder").paint(64, 96)
    assert painted.size == (64, 96)
    assert np.abs(np.asarray(painted).astype(int) - (0, 128, 128)).max() < 6


def test_what_cannot_be_used_is_refused_at_the_door(tmp_path: Path) -> None:
    garment, behind = tmp_path / "tee", tmp_path / "behind"
    write_garment_folder(sample_garment(5, "train"), garment, (("front", "grey studio"),), size=96)
    behind.mkdir()
    with pytest.raises(UserError, match="holds no pictures"):
        check_garment_dir(PhotoSettings(garment, backdrop_dir=behind))
    (behind / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"a\.jpg: not a picture"):
        check_garment_dir(PhotoSettings(garment, backdrop_dir=behind))
    with pytest.raises(UserError) as error:
        PhotoSettings(garment, backdrops=-1, photo_share=2, backdrop_dir=tmp_path / "gone")
    assert len(error.value.lines) == 3
    with pytest.raises(UserError, match="backdrop_kinds is empty"):
        PhotoSettings(garment, backdrops=1, backdrop_kinds=[])


def test_the_wearer_comes_along_and_what_is_not_sure_stays_where_it_is(tmp_path: Path) -> None:
    shots = (("worn", "white studio"), ("front", "grey studio"), ("worn", "park"))
    write_garment_folder(sample_garment(993, "held_out"), tmp_path / "dress", shots, size=256, seed=9934)
    photos = read_garment(PhotoSettings(tmp_path / "dress"), 256, 8, tmp_path / "cache").photos
    worn, flat, park = photos
    assert flat["movable"]
    assert flat["figure"] is None
    assert worn["movable"]
    assert np.asarray(worn["figure"]).mean() > 1.2 * np.asarray(worn["mask"]).mean()
    assert not park["movable"]
    assert chosen(park, backdrops=4) == []

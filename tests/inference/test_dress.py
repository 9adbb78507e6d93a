"""`inference/dress.py` as a user runs it: a look-book, kept pixels, and mistakes in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.generation import Outfit, PictureSettings, WearSettings
from lapel.generation.dress import DressSettings
from lapel.generation.keep import place, where_worn
from lapel.generation.look_book import prompts_of
from lapel.generation.people import PeopleSettings
from lapel.generation.request import Request
from lapel.photos.people.library import library_pose
from lapel.photos.people.parsing import read_parsing
from lapel.photos.people.shape import area, body_of, shape_of
from lapel.wardrobe import PARSING, photograph, sample_garment, sample_shot

ROOT = Path(__file__).resolve().parents[2]
HOODIE = ROOT / "datasets/samples/sun-hoodie/01-front.jpg"
GARMENT = ("--encoder", "tiny", "--garment_photo", HOODIE, "--garment_words", "hoodie")


def dress(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "inference" / "dress.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def test_people_and_places_are_combined() -> None:
    people = PeopleSettings(["woman", "man"], ["elderly"], [], ["dark"], ["long red"], ["at the beach", "in a park"])
    assert people.prompts("a {garment}") == [
        "a photo of an elderly woman with dark skin and long red hair wearing a {garment}, at the beach",
        "a photo of an elderly woman with dark skin and long red hair wearing a {garment}, in a park",
        "a photo of an elderly man with dark skin and long red hair wearing a {garment}, at the beach",
        "a photo of an elderly man with dark skin and long red hair wearing a {garment}, in a park",
    ]
    framed = PeopleSettings(scene=["at sea"], framing=["full body", "close-up", "upper body"])
    assert framed.prompts("a tee") == [
        f"{framing} photo of a person wearing a tee, at sea"
        for framing in ("a full body", "a close-up", "an upper body")
    ]
    assert PeopleSettings().prompts("a tee") == ["a photo of a person wearing a tee"]


@pytest.mark.parametrize("seed", range(6))
def test_a_garment_is_placed_where_the_pose_wears_it(seed: int) -> None:
    garment = sample_garment(seed, "train")
    while garment.kind not in ("t-shirt", "hoodie", "jacket"):
        garment = sample_garment(garment.seed + 100, "train")
    photo = photograph(garment, sample_shot(seed, garment, "front", "white studio"), 256)
    mask, size = Image.fromarray(photo.mask), (200, 240)
    pose, shape = library_pose("a-pose@half", size), shape_of(garment.kind, {})
    placed = place(Image.fromarray(photo.image), mask, size, where_worn(mask, shape, pose))
    kept = np.asarray(placed.drawn) == 0
    body = body_of(pose)
    assert body is not None
    assert area(shape, body, size)[kept].mean() > 0.8
    assert not (np.asarray(placed.canvas)[~kept] != 128).any()


def test_what_lies_outside_of_the_picture_is_refused() -> None:
    photo, mask = Image.new("RGB", (50, 50)), Image.new("L", (50, 50), 255)
    with pytest.raises(UserError, match="--place"):
        place(photo, mask, (64, 64), (5.0, 5.0, 0.3))
    with pytest.raises(UserError, match="empty"):
        place(photo, Image.new("L", (50, 50)), (64, 64), (0.5, 0.5, 0.3))


def test_a_look_book(tmp_path: Path) -> None:
    people = ("--hair", "short black", "long red", "--scene", "at the beach", "in a park")
    done = dress(*GARMENT, *people, "--steps", 1, "--output_dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("0*.png"))) == 4
    with Image.open(tmp_path / "0004-0.png") as image:
        assert "a person with long red hair wearing a hoodie, in a park" in image.info["parameters"]


def test_kept_pixels_are_exact(tmp_path: Path) -> None:
    place_ = ("--place", 0.5, 0.55, 0.7, "--width", 128, "--height", 160)
    done = dress(
        "--base", "tiny", "--garment_words", "hoodie", "--keep", HOODIE, *place_, "--steps", 2, "--output_dir", tmp_path
    )
    assert done.returncode == 0, done.stderr
    from lapel.generation.shown import garment_in

    placed = place(*garment_in(HOODIE, "hoodie"), (128, 160), (0.5, 0.55, 0.7))
    kept = np.asarray(placed.drawn) == 0
    assert kept.mean() > 0.05
    with Image.open(tmp_path / "0001-0.png") as image:
        pixels = np.asarray(image)
    assert (pixels[kept] == np.asarray(placed.canvas)[kept]).all()
    assert (pixels[~kept] != 128).any(axis=1).mean() > 0.9


def test_words_of_shape_make_a_map_that_is_given_back(tmp_path: Path) -> None:
    how = ("--base", "tiny", "--controlnet", "tiny", "--steps", 2, "--seeds", 3)
    how = (*how, "--region", "lower=a yellow skirt", "--output_dir")
    words = ("--shape", "long sleeves, shrot skirt", "--texture", "red tartan", "--scene", "in a park")
    done = dress(*how, tmp_path / "made", "--control", "parsing:t-pose@half", *words)
    assert done.returncode == 0, done.stderr
    assert 'lower: skirt, mini; "shrot" as mini' in done.stderr
    with Image.open(tmp_path / "made/0001-3.png") as image:
        prompt = image.info["parameters"].splitlines()[0]
        assert "region: lower=a yellow skirt," in image.info["parameters"]
        first = np.asarray(image)
    assert prompt == "a photo of a person wearing a red plaid long sleeve shirt and a skirt, in a park"
    parsing = tmp_path / "made/parsing-t-pose-half.png"
    assert (read_parsing(parsing, (96, 96)) == PARSING["lower"]).any()
    done = dress(*how, tmp_path / "again", "--control", parsing, "--region_map", parsing, "--prompt", prompt)
    assert done.returncode == 0, done.stderr
    assert (np.asarray(Image.open(tmp_path / "again/0001-3.png")) == first).all()


def test_the_nearest_garment_of_a_catalogue_is_worn(tmp_path: Path) -> None:
    for folder, photo in (("red-tee", "red"), ("blue-trousers", "blue")):
        (tmp_path / "shop" / folder).mkdir(parents=True)
        seed = 0
        kind = "t-shirt" if photo == "red" else "trousers"
        while (garment := sample_garment(seed)).kind != kind or garment.looks() != photo or garment.print != "none":
            seed += 1
        drawn = photograph(garment, sample_shot(seed, garment, "front", "white studio"), 128)
        Image.fromarray(drawn.image).save(tmp_path / "shop" / folder / "front.png")
    search = ("--catalogue", tmp_path / "shop", "--query", "a photo of blue trousers")
    done = dress("--base", "tiny", "--encoder", "tiny", *search, "--steps", 1, "--output_dir", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "found: blue-trousers" in done.stderr
    with Image.open(tmp_path / "out/0001-0.png") as image:
        told = image.info["parameters"]
    assert "wearing trousers" in told and "found-1-blue-trousers-1.png" in told
    assert (tmp_path / "out/found-1-blue-trousers-1.png").is_file()


def test_captions_of_what_was_found_are_said() -> None:
    def prompts(prompt: str, captions: list[str], card: dict[str, str]) -> list[str]:
        outfit = Outfit(WearSettings(base="tiny"), (Path("a"),), (card,), (), BaseSettings())
        request = Request(outfit.settings, PictureSettings(prompt), dress=DressSettings())
        return prompts_of(outfit, PeopleSettings(), request, captions, "a tee")

    assert prompts("", [], {}) == ["a photo of a person wearing a tee"]
    assert prompts("", ["a red kilt", "a sash"], {}) == ["a photo of a person wearing a red kilt and a sash"]
    assert prompts("at sea", ["a red kilt"], {}) == ["at sea, a red kilt"]
    trigger = {"trigger": "ohwx", "class_word": "tee"}
    assert prompts("", ["a red kilt"], trigger) == ["a photo of a person wearing a ohwx tee, a red kilt"]

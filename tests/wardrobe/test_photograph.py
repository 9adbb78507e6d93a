"""The photos of the wardrobe and their ground truth."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lapel.wardrobe import KEYPOINTS, KINDS, PARSING, PATTERNS, SCENES, VIEWS, photograph, sample_garment, sample_shot
from lapel.wardrobe.folders import read_identity, write_garment_folder
from lapel.wardrobe.vocabulary import LOWER

seeds = st.integers(0, 10**6)


def garment_part(kind: str) -> int:
    return PARSING["dress" if kind == "dress" else "lower" if kind in LOWER else "upper"]


@settings(max_examples=60, deadline=None)
@given(seeds, seeds, st.sampled_from(VIEWS), st.sampled_from(SCENES))
def test_mask_and_parsing_agree(garment_seed: int, shot_seed: int, view: str, scene: str) -> None:
    garment = sample_garment(garment_seed)
    photo = photograph(garment, sample_shot(shot_seed, garment, view, scene), 96)
    parsed = np.isin(photo.parsing, [garment_part(garment.kind), PARSING["print"]])
    sure = (photo.mask == 0) | (photo.mask == 255)
    # Worn, the class of the garment can also be that of other clothes; nothing of the garment is ever outside it.
    assert not ((photo.mask == 255) & ~parsed & sure).sum() > 0.01 * parsed.sum()
    if view != "worn":
        assert ((photo.mask == 0) & parsed).sum() <= 0.01 * parsed.sum()
    assert 0.02 < (photo.mask / 255).mean() < 1.0


@settings(max_examples=40, deadline=None)
@given(seeds, seeds)
def test_a_worn_garment_follows_the_pose(garment_seed: int, shot_seed: int) -> None:
    garment = sample_garment(garment_seed)
    photo = photograph(garment, sample_shot(shot_seed, garment, "worn"), 128)
    points = dict(zip(KEYPOINTS, photo.keypoints, strict=True))

    def part_at(name: str) -> int | None:
        x, y = points[name][:2].round().astype(int)
        return int(photo.parsing[y, x]) if 0 <= x < 128 and 0 <= y < 128 else None

    assert (photo.keypoints[:, 2] == 1).all()
    if garment.kind not in LOWER:
        assert part_at("nose") == PARSING["skin"]
    if garment.sleeve == "long":
        arm_parts = {garment_part(garment.kind), PARSING["print"], None}
        assert part_at("right elbow") in arm_parts and part_at("left elbow") in arm_parts
    if garment.kind == "trousers":
        assert part_at("right knee") == part_at("left knee") == PARSING["lower"]


def test_without_a_person_there_are_no_keypoints_and_no_skin() -> None:
    garment = sample_garment(3)
    photo = photograph(garment, sample_shot(3, garment, "front"), 96)
    assert not photo.keypoints.any()
    assert PARSING["skin"] not in photo.parsing


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_same_garment_looks_the_same_in_every_photo(pattern: str) -> None:
    garment = next(g for g in map(sample_garment, range(10_000)) if g.pattern == pattern and g.print == "none")
    means = []
    for seed, scene in enumerate(SCENES):
        photo = photograph(garment, sample_shot(seed, garment, "front", scene), 128)
        means.append(photo.image[photo.mask == 255].mean(axis=0))
    # Light moves colours a little; the scene does not.
    assert np.ptp(means, axis=0).max() < 45


def test_all_kinds_in_all_views_differ() -> None:
    pictures = set()
    for kind in KINDS:
        garment = next(g for g in map(sample_garment, range(10_000)) if g.kind == kind)
        for view in VIEWS:
            photo = photograph(garment, sample_shot(1, garment, view, "park"), 64)
            assert garment.kind in photo.caption and "park" in photo.caption
            pictures.add(photo.image.tobytes())
    assert len(pictures) == len(KINDS) * len(VIEWS)


def test_a_photo_is_a_pure_function_of_its_seeds() -> None:
    program = (
        "import hashlib; from lapel.wardrobe import *; g = sample_garment(5); p = photograph(g, sample_shot(9, g), 96);"
        "print(hashlib.sha256(p.image.tobytes() + p.mask.tobytes() + p.parsing.tobytes()).hexdigest())"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()
    garment = sample_garment(5)
    photo = photograph(garment, sample_shot(9, garment), 96)
    here = hashlib.sha256(photo.image.tobytes() + photo.mask.tobytes() + photo.parsing.tobytes()).hexdigest()
    assert here == elsewhere


def test_the_sample_folders_are_what_the_program_draws_today() -> None:
    """The shipped JPEGs came from another run, maybe another machine: drawn again, they are the same pictures."""
    folder = Path(__file__).parents[2] / "datasets" / "samples" / "striped-t-shirt"
    garment = read_identity(folder)
    shot = sample_shot(6410, garment, "front", "white studio")
    drawn = photograph(garment, shot, 512).image.astype(int)
    shipped = np.asarray(Image.open(folder / "01-front.jpg")).astype(int)
    assert np.abs(drawn - shipped).mean() < 2.0


def test_a_folder_reads_back_as_its_garment(tmp_path: Path) -> None:
    garment = sample_garment(11, "held_out")
    files = write_garment_folder(garment, tmp_path, [("front", "park"), ("worn", "beach")], size=64)
    assert [file.name for file in files] == ["01-front.jpg", "02-worn.jpg"]
    assert read_identity(tmp_path) == garment
    assert Image.open(files[0]).size == (64, 64)

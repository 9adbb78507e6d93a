"""Parsing maps that are made of a pose are those of the wardrobe's own people, and show what words tell."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lapel.errors import UserError
from lapel.photos.people.figure import parsing_of
from lapel.photos.people.library import POSES, library_pose
from lapel.photos.people.looks import read_looks
from lapel.photos.people.pose import Pose
from lapel.wardrobe import PARSING, Clothes, photograph, sample_garment, sample_shot

SIZE = 160


@pytest.mark.parametrize("seed", range(12))
def test_a_person_of_the_wardrobe_is_found_again(seed: int) -> None:
    garment = sample_garment(seed, "train")
    while garment.kind in ("skirt", "trousers", "shorts"):
        garment = sample_garment(garment.seed + 100, "train")
    garment = dataclasses.replace(garment, print="none")
    photo = photograph(garment, sample_shot(seed, garment, "worn"), SIZE)
    lower = None if garment.kind == "dress" else read_looks("trousers").clothes().lower
    style = photo.attributes["shot"]["person"]["hair_style"]
    made = parsing_of(Pose(photo.keypoints, (SIZE, SIZE)), Clothes(lower, garment), style)
    assert (made == photo.parsing).mean() > 0.985


def shares(shape: str, pose: str = "standing", size: tuple[int, int] = (SIZE, SIZE)) -> dict[str, float]:
    looks = read_looks(shape)
    made = parsing_of(library_pose(pose, size), looks.clothes(), looks.hair)
    assert made.shape == (size[1], size[0])
    return {name: float((made == number).mean()) for name, number in PARSING.items()}


def test_words_are_seen() -> None:
    reach = [shares(f"{words} top")["upper"] for words in ("sleeveless", "short sleeve", "long sleeve")]
    assert reach[0] < reach[1] < reach[2]
    hems = [shares(f"{words} skirt")["lower"] for words in ("mini", "knee length", "midi", "maxi")]
    assert hems == sorted(hems) and len(set(hems)) == 4
    legs = [shares(words)["lower"] for words in ("shorts", "capri pants", "trousers")]
    assert legs == sorted(legs) and len(set(legs)) == 3
    opened, closed = shares("t-shirt, open jacket"), shares("t-shirt, jacket")
    assert closed["outer"] > opened["outer"] > 0 and opened["upper"] > closed["upper"]
    assert shares("dress, long hair")["hair"] > shares("dress")["hair"]
    assert shares("dress")["lower"] == 0


@pytest.mark.parametrize("pose", POSES)
def test_every_pose_of_the_library_in_every_frame(pose: str) -> None:
    for frame in ("full", "half", "legs"):
        shown = shares("long sleeves, trousers", f"{pose}@{frame}", (120, 160))
        assert shown["lower"] > 0.01 and shown["upper"] > 0.01 and shown["skin"] > 0


def test_the_figure_follows_a_pose_that_is_moved_turned_and_seen_from_the_back() -> None:
    pose, looks = library_pose("right-arm-out", (SIZE, SIZE)), read_looks("long sleeves")
    made = parsing_of(pose, looks.clothes())
    mirrored = pose.points * np.array([-1, 1, 1], np.float32) + np.array([SIZE, 0, 0], np.float32)
    mirrored[pose.points[:, 2] == 0] = 0
    other = parsing_of(Pose(mirrored, pose.size), looks.clothes())
    assert (other[:, ::-1] == made).mean() > 0.98
    turned = np.stack([SIZE - pose.points[:, 1], pose.points[:, 0], pose.points[:, 2]], axis=1)
    turned[pose.points[:, 2] == 0] = 0
    quarter = parsing_of(Pose(turned.astype(np.float32), pose.size), looks.clothes())
    assert (np.rot90(quarter) == made).mean() > 0.95


def test_nobody_to_dress_is_refused() -> None:
    points = np.zeros((18, 3), np.float32)
    points[0] = 5, 5, 1
    with pytest.raises(UserError, match="neither shoulders"):
        parsing_of(Pose(points, (9, 9)), Clothes())

"""Poses go through OpenPose's JSON and its coloured map and come back; other formats are refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lapel.errors import UserError
from lapel.photos.people.pose import COLOURS, LIMBS, Pose, draw_pose, read_pose, write_pose
from lapel.wardrobe import KEYPOINTS, photograph, sample_garment, sample_shot


def pose_of(seed: int, size: int = 256) -> Pose:
    garment = sample_garment(seed, "train")
    return Pose(photograph(garment, sample_shot(seed, garment, "worn"), size).keypoints, (size, size))


@pytest.mark.parametrize("seed", range(8))
def test_json_comes_back(seed: int, tmp_path: Path) -> None:
    pose = pose_of(seed)
    write_pose(pose, tmp_path / "pose.json")
    again = read_pose(tmp_path / "pose.json", (512, 128))
    assert again.size == (512, 128)
    assert again.points[:, :2] == pytest.approx(pose.points[:, :2] * (2, 0.5), abs=2e-3)


def test_the_map_has_openposes_colours() -> None:
    points = np.zeros((18, 3), np.float32)
    points[KEYPOINTS.index("neck")] = 100, 40, 1
    points[KEYPOINTS.index("right shoulder")] = 40, 40, 1
    drawn = np.asarray(draw_pose(Pose(points, (200, 100))))
    assert LIMBS[0] == (KEYPOINTS.index("neck"), KEYPOINTS.index("right shoulder"))
    assert tuple(drawn[40, 70]) == (153, 0, 0)  # the first limb: red at 60 %
    assert tuple(drawn[40, 100]) == COLOURS[1] and tuple(drawn[40, 40]) == COLOURS[2]
    assert not drawn[80].any()


def test_shares_and_pixels_are_told_apart(tmp_path: Path) -> None:
    numbers = [0.5, 0.25, 1.0] * 18
    (tmp_path / "shares.json").write_text(json.dumps({"people": [{"pose_keypoints_2d": numbers}]}))
    assert tuple(read_pose(tmp_path / "shares.json", (200, 400)).points[3]) == (100, 100, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[1, 2]", "not OpenPose's format"),
        ('{"people": []}', "shows nobody"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', "54 numbers"),
        ('{"people": [{"pose_keypoints_2d": ["a"]}]}', "54 numbers"),
        (json.dumps({"people": [{"pose_keypoints_2d": [1.0] * 75}]}), "25 body keypoints"),
        (json.dumps({"people": [{"pose_keypoints_2d": [0.0] * 54}]}), "no keypoint is known"),
        (json.dumps({"people": [{"pose_keypoints_2d": [1.0] * 54}], "canvas_width": 0}), "canvas_width"),
    ],
)
def test_other_formats_are_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "pose.json").write_text(text)
    with pytest.raises(UserError, match=said) as refused:
        read_pose(tmp_path / "pose.json", (64, 64))
    assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(UserError, match="no such pose"):
        read_pose(tmp_path / "none.json", (64, 64))

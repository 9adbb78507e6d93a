"""Skeletons in OpenPose's colours are read back: lapel's own exactly, others nearly; other pictures are refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lapel.errors import UserError
from lapel.photos.people.library import FRAMES, POSES, library_pose
from lapel.photos.people.pose import Pose, draw_pose, read_pose
from lapel.photos.people.skeleton import is_skeleton, people_in, read_map
from lapel.wardrobe import photograph, sample_garment, sample_shot

SIDES = st.integers(64, 320)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(POSES)), st.sampled_from(list(FRAMES)), SIDES, SIDES)
def test_every_pose_of_the_library_comes_back_as_it_was(name: str, frame: str, width: int, height: int) -> None:
    pose = library_pose(f"{name}@{frame}", (width, height))
    drawn = draw_pose(pose)
    assert is_skeleton(drawn) and people_in(drawn) == 1
    again = read_map(drawn)
    assert again.size == pose.size
    # In the smallest maps, an eye may lie wholly below the other.
    assert (again.points[:, 2] > 0).sum() >= (pose.points[:, 2] > 0).sum() - 1
    known = again.points[:, 2] > 0
    assert np.array_equal(again.points[known, :2], np.round(pose.points[known, :2]))


@pytest.mark.parametrize("seed", range(4))
def test_people_of_the_wardrobe_come_back(seed: int) -> None:
    garment = sample_garment(seed, "train")
    points = photograph(garment, sample_shot(seed, garment, "worn"), 256).keypoints.copy()
    points[((points[:, :2] < 4) | (points[:, :2] > 252)).any(axis=1)] = 0
    again = read_map(draw_pose(Pose(points, (256, 256))))
    assert (again.points[:, 2] > 0).sum() >= 0.8 * (points[:, 2] > 0).sum()
    known = again.points[:, 2] > 0
    assert np.array_equal(again.points[known, :2], np.round(points[known, :2]))


@pytest.mark.parametrize("how", ["jpeg", "larger", "smaller"])
def test_others_come_back_within_pixels(how: str) -> None:
    pose = library_pose("hands-on-hips", (512, 512))
    drawn = draw_pose(pose)
    if how == "jpeg":
        file = io.BytesIO()
        drawn.save(file, "JPEG", quality=95, subsampling=0)
        drawn = Image.open(file)
    else:
        size = (900, 900) if how == "larger" else (300, 300)
        drawn, pose = drawn.resize(size, Image.Resampling.NEAREST), pose.scaled(size)
    again = read_map(drawn)
    known = again.points[:, 2] > 0
    assert known.sum() >= 17
    assert np.abs(again.points[known] - pose.points[known])[:, :2].max() <= 3


def test_other_pictures_are_refused(tmp_path: Path) -> None:
    one = draw_pose(library_pose("standing", (128, 256)))
    one.save(tmp_path / "one.png")
    assert read_pose(tmp_path / "one.png", (256, 512)).size == (256, 512)
    two = Image.new("RGB", (256, 256))
    two.paste(one, (0, 0))
    two.paste(one, (128, 0))
    two.save(tmp_path / "two.png")
    Image.new("RGB", (64, 64), (90, 120, 30)).save(tmp_path / "photo.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    (tmp_path / "text.png").write_text("no picture")
    for name, said in (
        ("two", "shows 2 people"),
        ("photo", "--pose_model"),
        ("black", "no skeleton"),
        ("text", "not a"),
    ):
        with pytest.raises(UserError, match=said) as refused:
            read_pose(tmp_path / f"{name}.png", (64, 64))
        assert len(str(refused.value).splitlines()) == 1

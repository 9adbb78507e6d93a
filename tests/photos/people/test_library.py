"""The library's poses are whole people within the picture, and are known by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lapel.errors import UserError
from lapel.photos.people.library import FRAMES, POSES, library_pose
from lapel.photos.people.pose import read_pose
from lapel.photos.people.shape import body_of


@pytest.mark.parametrize("size", [(96, 96), (512, 768), (768, 512)])
@pytest.mark.parametrize("name", POSES)
def test_a_whole_person_stands_in_the_picture(name: str, size: tuple[int, int]) -> None:
    pose = library_pose(name, size)
    assert (pose.points[:, 2] == 1).all()
    assert body_of(pose) is not None
    # No two poses are the same.
    others = [library_pose(other, size).points for other in POSES if other != name]
    assert min(np.abs(pose.points - other).max() for other in others) > 0.02 * size[1]


@pytest.mark.parametrize("frame", FRAMES)
def test_a_part_of_a_person(frame: str) -> None:
    pose = library_pose(f"standing@{frame}", (100, 100))
    assert pose.points[:, :2].min() >= 0 and pose.points[:, :2].max() < 100
    assert (pose.get("nose") is None) == (frame == "legs")
    assert (pose.get("right ankle") is None) == (frame == "half")


def test_names_stand_where_files_do() -> None:
    assert len(POSES) >= 20
    assert read_pose(Path("pose:star"), (64, 64)).get("neck") is not None
    with pytest.raises(UserError, match="nearest is 'hands-on-hips'"):
        read_pose(Path("pose:hand-on-hips"), (64, 64))
    with pytest.raises(UserError, match="nearest is 'half'"):
        read_pose(Path("pose:star@halv"), (64, 64))

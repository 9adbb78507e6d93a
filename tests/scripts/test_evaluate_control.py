"""What the measurement of control makes of readings that are known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from evaluation import control, person_reader
from lapel.wardrobe import KEYPOINTS, PARSING, Photograph


@pytest.fixture(scope="module")
def asked() -> list[Photograph]:
    photos = person_reader.people(9_500_000, 6, "held_out")
    whole = [photo for photo in photos if (photo.keypoints[:8, :2] >= 0).all() and (photo.parsing == 2).any()]
    assert len(whole) >= 2
    return whole[:2]


def read_exactly(asked: list[Photograph]) -> tuple[np.ndarray, np.ndarray]:
    return np.stack([photo.parsing for photo in asked]), np.stack([photo.keypoints[:, :2] for photo in asked])


def test_what_is_as_asked_is_right(asked: list[Photograph]) -> None:
    row = control.scores(asked, *read_exactly(asked))
    shown = [name for name in control.CLASSES if any((photo.parsing == PARSING[name]).any() for photo in asked)]
    assert row["limbs"] == row["arms"] == row["legs"] == row["torso and head"] == 1
    assert all(row[name] == 1 for name in shown)
    assert control.row_text({"shown": "it", **row}).count("|") == control.HEAD.splitlines()[0].count("|")


def test_a_wrist_that_is_away_is_one_limb_wrong(asked: list[Photograph]) -> None:
    classes, joints = read_exactly(asked)
    neck, hips = joints[0][1], joints[0][[8, 11]].mean(axis=0)
    height = float(np.linalg.norm(neck - hips)) / 0.31
    wrist = KEYPOINTS.index("right wrist")
    for share, right in ((0.09, 1.0), (0.11, 7 / 8)):
        moved = joints.copy()
        moved[0, wrist, 0] += share * height
        assert control.scores(asked, classes, moved)["arms"] == right


def test_overlap_is_of_all_pictures_together(asked: list[Photograph]) -> None:
    classes, joints = read_exactly(asked)
    hair = classes == PARSING["hair"]
    bald = np.where(hair & (np.arange(2) == 0)[:, None, None], PARSING["background"], classes).astype(np.uint8)
    row = control.scores(asked, bald, joints)
    assert row["hair"] == pytest.approx(hair[1].sum() / hair.sum())
    assert row["upper"] == control.scores(asked, classes, joints)["upper"]


def test_joints_are_read_between_cells() -> None:
    scores = torch.full((1, 1, 48, 48), -30.0)
    scores[0, 0, 10, 20] = scores[0, 0, 10, 21] = 30.0
    scores[0, 0, 40, 2] = 29.0  # elsewhere, and a little less likely
    torch.testing.assert_close(person_reader._places(scores), torch.tensor([[[42.0, 21.0]]]), atol=1e-3, rtol=0)


def test_a_reader_learns_and_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person_reader, "through_vae", lambda base, images, noise: images)
    base = None  # of which nothing but its VAE is asked
    reader = person_reader.train_reader(base, tmp_path, 16, 3)  # type: ignore[arg-type]
    drawn = person_reader.as_drawn(person_reader.people(1, 2, "train"))
    classes, joints = reader.read(drawn.images)
    assert classes.shape == (2, 96, 96) and joints.shape == (2, 18, 2)
    monkeypatch.setattr(person_reader, "people", None)  # nothing is drawn for a reader that is there
    again = person_reader.train_reader(base, tmp_path, 16, 3)  # type: ignore[arg-type]
    assert (again.read(drawn.images)[0] == classes).all()

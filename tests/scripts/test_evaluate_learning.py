"""What the table of learning makes of images whose answer is known: real photos of the garment, and of another."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lapel.base.find import TINY_FOLDER
from lapel.errors import UserError
from lapel.fidelity import ImageTower
from lapel.wardrobe import sample_garment
from lapel.wardrobe.folders import write_garment_folder

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from evaluation.learning import HEAD, LearningSettings, Photos, row_text


def settings_of(tmp_path: Path) -> LearningSettings:
    write_garment_folder(sample_garment(1), tmp_path / "garment", [("front", "beach")], size=32)
    return LearningSettings([tmp_path], [tmp_path / "garment"], scenes=("beach", "snow"), images=3)


def test_photos_of_the_garment_score_better_than_those_of_another(tmp_path: Path) -> None:
    settings, tower = settings_of(tmp_path), ImageTower(TINY_FOLDER)
    garment, other = sample_garment(1), sample_garment(2)
    assert garment.colours[0] != other.colours[0]
    photos = Photos(garment, settings, series=0)
    right = photos.scores(tower, Photos(garment, settings, series=1).images)
    wrong = photos.scores(tower, Photos(other, settings, series=1).images)
    assert right["colour"] < 5 < wrong["colour"] <= wrong["worst_colour"]
    assert right["similarity"] > wrong["similarity"]
    assert right["scene"] == 1
    line = row_text({"garment": "tee", "method": "other real photos", **right})
    assert line.count("|") == HEAD.splitlines()[0].count("|") == HEAD.splitlines()[1].count("|")


def test_a_folder_that_is_not_the_wardrobes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no garment\.json"):
        LearningSettings([tmp_path], [tmp_path])

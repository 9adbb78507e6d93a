"""`inference/try_on.py` as a user runs it, and every mistake that one can make, each in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lapel.generation.patch import soften
from lapel.photos.people.parsing import read_parsing, write_parsing
from lapel.photos.people.pose import Pose, write_pose
from lapel.wardrobe import PARSING, photograph, sample_garment, sample_shot

ROOT = Path(__file__).resolve().parents[2]
GARMENT = ("--encoder", "tiny", "--garment_photo", ROOT / "datasets/samples/sun-hoodie/01-front.jpg")


def try_on(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "inference" / "try_on.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a person's photo, pose and parsing map."""
    folder = tmp_path_factory.mktemp("person")
    garment = sample_garment(2, "train")
    while garment.kind != "t-shirt":
        garment = sample_garment(garment.seed + 100, "train")
    photo = photograph(garment, sample_shot(2, garment, "worn", "park"), 300)
    Image.fromarray(photo.image).crop((0, 0, 260, 300)).save(folder / "person.png")
    write_pose(Pose(photo.keypoints, (260, 300)), folder / "pose.json")
    write_parsing(np.ascontiguousarray(photo.parsing[:, :260]), folder / "parsing.png")
    return folder


def test_a_hoodie_takes_the_t_shirts_place_and_nothing_else(person: Path, tmp_path: Path) -> None:
    known = ("--image", person / "person.png", "--pose", person / "pose.json", "--parsing", person / "parsing.png")
    how = ("--garment_words", "hoodie", "--steps", 2, "--images", 2, "--mask_feather", 4, "--colour", "strict")
    words = ("--region", "upper=a photo of a person wearing a hoodie", "--encoder_region", "upper")
    done = try_on(*known, *GARMENT, *how, *words, "--output_dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "delta E" in done.stderr
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["0001-0.png", "0002-1.png", "mask.png", "retouched.json", "sheet.png"]
    photo = np.asarray(Image.open(person / "person.png").convert("RGB"))
    with Image.open(tmp_path / "mask.png") as mask:
        untouched = soften(mask, 0, 4) == 0
    parsing = np.asarray(Image.open(person / "parsing.png"))
    for name in names[:2]:
        with Image.open(tmp_path / name) as image:
            pixels = np.asarray(image)
            told = image.info["parameters"]
        assert told.startswith("a photo of a person wearing a hoodie\n")
        assert "region: upper=a photo of a person wearing a hoodie, " in told and "encoder_region: upper, " in told
        assert (pixels[untouched] == photo[untouched]).all()
        assert (pixels[parsing == PARSING["hair"]] == photo[parsing == PARSING["hair"]]).all()
        assert (pixels[parsing == PARSING["upper"]] != photo[parsing == PARSING["upper"]]).any()
    assert json.loads((tmp_path / "retouched.json").read_text())["0001-0.png"]["colour"].keys() == {"before", "after"}


def test_a_sketch_keeps_the_rest_of_the_photo_too(person: Path, tmp_path: Path) -> None:
    known = ("--image", person / "person.png", "--pose", person / "pose.json")
    how = ("--garment_words", "hoodie", "--steps", 2, "--masked_content", "sketch")
    how += ("--mask_feather", 0, "--mask_grow", -3, "--colour", "strict", "--pose_control", "tiny")
    done = try_on(*known, *GARMENT, *how, "--output_dir", tmp_path)
    assert done.returncode == 0, done.stderr
    # The ControlNet that lapel ships is shown the garment on the person, whose arms it covers.
    shown = read_parsing(tmp_path / "parsing-pose.png", (260, 300))
    assert (shown == PARSING["upper"]).sum() > 1.2 * (
        read_parsing(person / "parsing.png", (260, 300)) == PARSING["upper"]
    ).sum()
    files = (person / "person.png", tmp_path / "0001-0.png", tmp_path / "mask.png")
    photo, image = (np.asarray(Image.open(path).convert("RGB")) for path in files[:2])
    with Image.open(files[2]) as mask:
        drawn = soften(mask, -3, 0) > 0
    assert (image[~drawn] == photo[~drawn]).all()
    # Olive, as the hoodie is, after a single step: what denoising began with.
    assert np.abs(np.median(image[drawn], axis=0) - (85, 88, 40)).max() < 30

"""`--like IMAGE` draws that very image again, whichever program drew it, and says what it cannot give back.

The programs run in this process, so that torch is imported once for all of them.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lapel.photos.people.parsing import write_parsing
from lapel.photos.people.pose import Pose, write_pose
from lapel.wardrobe import photograph, sample_garment, sample_shot

ROOT = Path(__file__).resolve().parents[2]
HOODIE = ROOT / "datasets/samples/sun-hoodie/01-front.jpg"
WORN = ("--encoder", "tiny", "--garment_photo", HOODIE, "--encoder_weight", 0.9, "--steps", 2)


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a person's photo of a size that no base draws, its pose and its parsing map."""
    folder = tmp_path_factory.mktemp("person")
    garment = sample_garment(2, "train")
    photo = photograph(garment, sample_shot(2, garment, "worn", "park"), 251)
    Image.fromarray(photo.image).crop((0, 0, 221, 251)).save(folder / "person, smiling.png")
    write_pose(Pose(photo.keypoints, (221, 251)), folder / "pose.json")
    write_parsing(np.ascontiguousarray(photo.parsing[:, :221]), folder / "parsing.png")
    return folder


def run(monkeypatch: pytest.MonkeyPatch, program: str, folder: Path, *arguments: object) -> list[Path]:
    """The numbered images that a program makes in a folder."""
    monkeypatch.setattr(sys, "argv", [program, *map(str, arguments), "--output_dir", str(folder)])
    runpy.run_path(str(ROOT / "inference" / f"{program}.py"), run_name="__main__")
    return sorted(folder.glob("[0-9]*.png"))


def pixels(path: Path) -> tuple[tuple[int, int], bytes]:
    with Image.open(path) as image:
        return image.size, image.tobytes()


DRAWN = {
    "generate": (
        *WORN,
        *("--prompt", 'a photo of a person, "smiling": wearing a hoodie', "--negative_prompt", "blurry, dark"),
        *("--controlnet", "tiny", "tiny", "--control", "pose:t-pose@half", "parsing:t-pose@half"),
        *("--control_weight", 0.8, 0.4, "--control_end", 0.6, "--shape", "long sleeves", "--guess_mode"),
        *("--region", "upper=a red hoodie, worn", "lower=blue jeans", "--scheduler", "euler a", "--width", 64),
    ),
    "dress": (
        *("--base", "tiny", "--steps", 2, "--scene", "in a park", "at the beach", "--framing", "close-up"),
        *("--shape", "long sleeves, short skirt", "--texture", "red tartan"),
        *("--pose", "pose:star@half", "pose:a-pose@half", "--pose_control", "tiny"),
    ),
    "dress --keep": (
        *("--base", "tiny", "--steps", 2, "--keep", HOODIE, "--garment_words", "hoodie", "--place", 0.5, 0.55, 0.7),
        *("--gender", "woman", "--width", 80, "--height", 96),
    ),
    "try_on": (
        *WORN,
        *("--image", "{}/person, smiling.png", "--pose", "{}/pose.json", "--parsing", "{}/parsing.png"),
        *("--garment_words", "hoodie, long sleeve", "--pose_control", "tiny", "--shape", "hoodie, long sleeve"),
        *("--masked_content", "sketch", "--mask_feather", 4, "--padding", 20, "--colour", "strict"),
    ),
}


@pytest.mark.parametrize("case", DRAWN)
def test_an_image_is_drawn_again_bit_for_bit(
    case: str, person: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(argument).replace("{}", person.as_posix()) for argument in DRAWN[case]]
    program = case.split()[0]
    last = run(monkeypatch, program, tmp_path / "first", *given, "--seeds", 3, "--images", 2)[-1]
    capsys.readouterr()
    again = run(monkeypatch, program, tmp_path / "again", "--like", last)
    assert "not given back" not in capsys.readouterr().err
    assert [path.name for path in again] == ["0001-4.png"]
    assert pixels(again[0]) == pixels(last)
    with Image.open(last) as image, Image.open(again[0]) as repeated:
        told = image.info["parameters"]
        assert repeated.info["parameters"] == told
    if program == "generate":
        weighed = "Weight: 0.4, Resize Mode: Crop and Resize, Guidance Start: 0, Guidance End: 0.6"
        unit = f"Module: parsing, Model: tiny, {weighed}, Control Mode: ControlNet is more important"
        assert f'ControlNet 1: "{unit}"' in told
        (other,) = run(monkeypatch, program, tmp_path / "other", "--like", last, "--seeds", 9)
        assert pixels(other) != pixels(last)
    if program == "try_on":
        assert "Size: 2" not in told  # what is drawn, not the photo
        assert "Denoising strength: 0.7, Mask blur: 4, Inpaint area: Only masked, Masked area padding: 20" in told


def test_what_is_not_there_is_said_in_one_line(
    person: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes((person / "person, smiling.png").read_bytes())
    Image.new("L", (221, 251), 255).save(tmp_path / "all.png")
    how = ("--base", "tiny", "--prompt", "a person", "--mask", tmp_path / "all.png", "--steps", 1)
    (image,) = run(monkeypatch, "try_on", tmp_path / "first", "--image", photo, *how)
    photo.unlink()
    capsys.readouterr()
    run(monkeypatch, "generate", tmp_path / "again", "--like", image)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "not given back" in line]
    assert "mask " in line and "(no setting of this program)" in line
    with pytest.raises(SystemExit):
        run(monkeypatch, "try_on", tmp_path / "again", "--like", image)
    told = capsys.readouterr().err
    assert f"image {photo.as_posix()} (no such file)" in told and "error: --image is required" in told

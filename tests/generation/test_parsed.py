"""Parsing maps by name, and words by a base's own text encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.generation.control import ControlSettings
from lapel.generation.parsed import heard_looks, make_parsed, parsed_pose, text_embedder, write_parsed
from lapel.photos.people.library import library_pose
from lapel.photos.people.looks import read_looks
from lapel.photos.people.parsing import PALETTE, read_parsing
from lapel.photos.people.pose import draw_pose, read_pose, write_pose


def test_a_pose_is_named_or_a_file(tmp_path: Path) -> None:
    assert parsed_pose(Path("parsing:standing@half")) == parsed_pose(Path("parsing:pose:standing@half"))
    assert parsed_pose(Path("parsing:standing@half")) == Path("pose:standing@half")
    write_pose(library_pose("t-pose", (120, 90)), tmp_path / "mine.json")
    named, given = (
        make_parsed(source, read_pose(source, (120, 90)), read_looks("long sleeves"))
        for source in map(parsed_pose, (Path("parsing:t-pose"), Path(f"parsing:{tmp_path / 'mine.json'}")))
    )
    assert (named.classes == given.classes).mean() > 0.999
    assert (named.name, given.name) == ("parsing-t-pose.png", "parsing-mine.png")
    (first, second) = write_parsed([named, given, named], tmp_path)
    assert (read_parsing(first, (120, 90)) == named.classes).all() and second.name == "parsing-mine.png"


def test_a_skeleton_lies_on_the_map() -> None:
    pose = library_pose("standing", (96, 96))
    made = make_parsed(Path("pose:standing"), pose, read_looks("dress"))
    both, skeleton = np.asarray(made.shown(pose)), np.asarray(draw_pose(pose))
    drawn = skeleton.any(axis=2)
    assert (both[drawn] == skeleton[drawn]).all() and drawn.any()
    assert (both[~drawn] == np.asarray(made.shown())[~drawn]).all()
    assert {tuple(pixel) for pixel in both[~drawn]} <= set(PALETTE.values())
    assert isinstance(made.shown(), Image.Image)


def test_words_go_by_the_bases_text_encoder(small_sdxl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = load_base(BaseSettings(base=str(small_sdxl), precision="fp32"))
    embed = text_embedder(base)
    assert embed is not None
    vectors = embed(["skirt", "a red dress", "skirt"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (vectors[0] == vectors[2]).all() and vectors[0] @ vectors[1] < 0.999
    assert heard_looks("xyzzy", "", base).guesses[0].startswith('"xyzzy" as ')
    assert "the nearest to the text encoder" in capsys.readouterr().err
    assert text_embedder(load_base(BaseSettings(base="tiny"))) is None


def test_maps_that_cannot_be_made_are_refused_at_the_door(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give --shape"):
        ControlSettings(["tiny"], [Path("parsing:standing")])
    with pytest.raises(UserError, match="no such map"):
        ControlSettings(["tiny"], [Path(f"parsing:{tmp_path / 'none.json'}")], shape="dress")
    with pytest.raises(UserError, match="shown on a parsing map"):
        ControlSettings(shape="dress").require_parsed()

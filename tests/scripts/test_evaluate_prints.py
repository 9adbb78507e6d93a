"""What the measurement of prints makes of words that are there, lost, and put back."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from evaluation import prints, wearers
from evaluation.dressers import Dresser, DresserSettings
from lapel.errors import UserError
from lapel.wardrobe import photograph, sample_shot


def test_words_are_lost_and_put_back(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr_onnxruntime")
    from lapel.fidelity.lettering import TextReader

    new = wearers.garment(7, printed=True)
    one, reader = wearers.subject(new, 7, 384), TextReader()
    shot = sample_shot(wearers.FIRST_SEED + 7000, new, "worn")
    pixels = photograph(dataclasses.replace(new, print="none"), shot, 384, framed_for=new).image
    bare = Image.fromarray(np.where((one.truth.mask >= 128)[..., None], pixels, one.before.image))
    dresser = Dresser([one], DresserSettings())
    masks = [(np.asarray(dresser.changes[0].mask) > 0) | (one.truth.mask >= 128)]
    truth = [prints.read(one, one.pictures[1], reader)]

    def score(image: Image.Image) -> dict[str, float | None]:
        return prints.scores([one], [prints.read(one, image, reader)], truth, [image], masks)

    assert truth[0].words == new.print
    row = score(bare)
    assert row == {"wrong": 1, "right": 0, "away": None, "size": None, "outside": 0}
    assert prints.row_text({"images": "it", **row}) == "| it | 100 % | 0 % | - | - | 0 |"
    photos = prints.write_photos([one], tmp_path)
    row = score(*prints.put_on(dresser, [bare], photos))
    assert (row["wrong"], row["right"], row["outside"]) == (0, 1, 0)
    assert row["away"] == pytest.approx(0, abs=0.03) and row["size"] == pytest.approx(1, abs=0.2)
    assert prints.row_text({"images": "it", **row}).count("|") == prints.HEAD.splitlines()[0].count("|")


def test_a_method_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UserError, match="no such method; did you mean inpainting-encoder"):
        prints.PrintSettings(method="inpainting-encodr")

"""What the measurement of changed clothes makes of images that are known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from evaluation import try_on, wearers
from lapel.wardrobe import PARSING


@pytest.fixture(scope="module")
def one() -> wearers.Subject:
    return wearers.subject(wearers.garment(3), 3, 256)


def score(one: wearers.Subject, pixels: np.ndarray) -> dict[str, float]:
    return wearers.scores([one], [Image.fromarray(pixels)], [one.changed])


def test_the_truth_is_right_in_everything(one: wearers.Subject) -> None:
    row = score(one, one.truth.image)
    assert row["ssim"] == pytest.approx(1) and row["colour"] == pytest.approx(0, abs=1e-6)
    assert row["sleeves"] == 1 and row["below"] > 0.95
    assert row["outside"] == row["face"] == 0
    assert try_on.row_text({"method": "it", **row}).count("|") == try_on.HEAD.splitlines()[0].count("|")


def test_the_old_garment_is_not_the_new_one(one: wearers.Subject) -> None:
    assert one.garment.sleeve == "short"
    row = score(one, one.before.image)
    assert row["ssim"] < 0.5 and row["colour"] > 10 and row["sleeves"] == 0 and row["outside"] == 0


def test_cloth_below_the_hem_and_paint_outside_are_told(one: wearers.Subject) -> None:
    cloth = np.median(one.truth.image[one.truth.mask >= 128], axis=0)
    longer = np.where((one.truth.parsing == PARSING["lower"])[..., None], cloth, one.truth.image).astype(np.uint8)
    assert score(one, longer)["below"] < 0.05
    painted = one.truth.image.copy()
    painted[0, 0] = 255 - (painted[0, 0] // 128) * 255
    assert score(one, painted)["outside"] >= 127

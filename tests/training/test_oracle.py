"""What the garment's own photos measure: against the one held out, or each against the others."""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import pytest
from datasets import Dataset, Features, Value
from PIL import Image, ImageDraw

from lapel.fidelity.colour import delta_e, to_lab
from lapel.training.oracle import oracle_marks

RED, BLUE = (200, 30, 40), (40, 60, 190)


def photos(*shown: tuple[str, tuple[int, int, int]]) -> Dataset:
    """Plain garments on white, of a view and a colour each."""
    rows: list[dict[str, Any]] = []
    for view, colour in shown:
        image, mask = Image.new("RGB", (96, 96), "white"), Image.new("L", (96, 96), 0)
        for picture, ink in ((image, colour), (mask, 255)):
            ImageDraw.Draw(picture).rectangle((24, 20, 71, 79), fill=ink)
        rows.append({"image": image, "mask": mask, "mask_trust": 1.0, "view": view})
    kinds = {
        "image": datasets.Image(),
        "mask": datasets.Image(),
        "mask_trust": Value("float64"),
        "view": Value("string"),
    }
    return Dataset.from_list(rows, features=Features(kinds))


def test_photos_are_held_against_the_one_that_was_held_out() -> None:
    shown = photos(("front", RED), ("worn", BLUE), ("detail", BLUE), ("front", RED))
    found = oracle_marks(shown, 3, "t-shirt", None)
    apart = float(delta_e(to_lab(np.uint8([BLUE])), to_lab(np.uint8([RED])))[0])
    assert found["colour"] == pytest.approx([0, apart], abs=0.3)
    assert found["structure"] == pytest.approx([0, 0], abs=1e-6)
    assert "margin" not in found


def test_where_none_was_held_out_each_is_held_against_the_others() -> None:
    found = oracle_marks(photos(("front", RED), ("back", RED), ("worn", RED)), None, "t-shirt", None)
    assert found["colour"] == pytest.approx([0, 0, 0], abs=0.01)


def test_one_photo_alone_tells_nothing() -> None:
    assert oracle_marks(photos(("front", RED), ("detail", RED)), None, "t-shirt", None) == {}
    assert oracle_marks(photos(("front", RED), ("detail", RED)), 0, "t-shirt", None) == {}

"""Contact sheets."""

from __future__ import annotations

import numpy as np
from PIL import Image

from lapel.sheet import contact_sheet

RED, BLUE = Image.new("RGB", (40, 40), (255, 0, 0)), Image.new("RGB", (20, 30), (0, 0, 255))


def test_every_picture_is_there_whole_and_as_it_was() -> None:
    sheet = np.asarray(contact_sheet([[RED, BLUE], [BLUE]], ["first", "second"], ["one", "two"], "a title"))
    assert (sheet == (255, 0, 0)).all(axis=2).sum() == 40 * 40
    assert (sheet == (0, 0, 255)).all(axis=2).sum() == 2 * 20 * 30


def test_a_long_label_makes_room_for_itself() -> None:
    label = "\n".join(f"line {number}" for number in range(10))
    rows = [[RED], [RED]]
    short, long = contact_sheet(rows, ["", ""]), contact_sheet(rows, [label, ""])
    assert long.height - short.height == 2 * (10 * 16 - 40)


def test_nothing_to_show_is_an_empty_sheet() -> None:
    assert contact_sheet([], []).size == (6, 12)

"""Prints put onto drawn garments: read again, in their place, and nowhere else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lapel.fidelity.lettering import TextReader
from lapel.fidelity.reprint import Printed, find_print, reprint
from lapel.photos.people.pose import Pose
from lapel.photos.people.shape import Body, Shape, body_of, shape_of
from lapel.wardrobe import Photograph, photograph, sample_garment, sample_shot
from lapel.wardrobe.vocabulary import PRINT_WORDS

SIZE = 384
SHAPE = shape_of("tank top", {})


@pytest.fixture(scope="module")
def reader() -> TextReader:
    pytest.importorskip("rapidocr_onnxruntime")
    return TextReader()


@pytest.fixture(scope="module")
def garment(reader: TextReader) -> tuple[Printed, Photograph, Photograph, Body, Shape]:
    """A garment's print, the garment on a person, the same without its print, and their body."""
    known = (sample_garment(seed) for seed in range(10_000))
    one = next(one for one in known if one.kind == "tank top" and one.print in PRINT_WORDS)
    flat = photograph(one, sample_shot(1, one, "front", "white studio"), SIZE)
    printed = find_print(flat.image, flat.mask >= 128, SHAPE, reader)
    assert printed is not None
    assert printed.words == one.print.upper()
    shot = sample_shot(2, one, "worn")
    worn, bare = (photograph(dataclasses.replace(one, print=name), shot, SIZE) for name in (one.print, "none"))
    body = body_of(Pose(worn.keypoints, (SIZE, SIZE)))
    assert body is not None
    return printed, worn, bare, body, shape_of(one.kind, {})


def test_a_lost_print_is_read_again_and_nothing_else_changes(
    garment: tuple[Printed, Photograph, Photograph, Body, Shape], reader: TextReader
) -> None:
    printed, worn, bare, body, shape = garment
    region = bare.mask >= 128
    result = reprint(bare.image, region, printed, body, shape, "auto", reader)
    assert (result.before, result.after) == (1.0, 0.0)
    changed = (result.image != bare.image).any(axis=2)
    assert changed.sum() > 0
    assert not changed[~region].any()
    # The letters lie about where they really do, and are about as wide.
    drawn, real = (
        np.argwhere(np.abs(image.astype(int) - bare.image).max(axis=2) > 60) for image in (result.image, worn.image)
    )
    assert np.abs(drawn.mean(axis=0) - real.mean(axis=0)).max() < 0.03 * SIZE
    assert drawn[:, 1].std() / real[:, 1].std() == pytest.approx(1, abs=0.2)


def test_a_print_that_is_read_stays_as_it_is_drawn(
    garment: tuple[Printed, Photograph, Photograph, Body, Shape], reader: TextReader
) -> None:
    printed, worn, _, body, shape = garment
    result = reprint(worn.image, worn.mask >= 128, printed, body, shape, "auto", reader)
    assert result.before == result.after == 0
    assert result.image is worn.image
    again = reprint(worn.image, worn.mask >= 128, printed, body, shape, "always", reader)
    assert (again.image != worn.image).any()


def test_seams_beside_the_letters_are_no_ink(reader: TextReader) -> None:
    known = (sample_garment(seed) for seed in range(10_000))
    one = next(one for one in known if one.kind == "tank top" and one.print == "HELLO" and one.pattern == "plain")
    flat = photograph(one, sample_shot(1, one, "front", "white studio"), SIZE)
    (line,) = reader.lines(flat.image, flat.mask >= 128)
    plain = find_print(flat.image, flat.mask >= 128, SHAPE, reader)
    sewn, x, y = flat.image.copy(), round(line.corners[:, 0].min()), round(line.corners[:, 1].max() + 0.2 * line.height)
    sewn[y : y + 2, x : x + 40] = 0
    seamed = find_print(sewn, flat.mask >= 128, SHAPE, reader)
    assert plain is not None and seamed is not None and seamed.words == plain.words
    assert plain.area[y, x : x + 40].all() and not seamed.ink[y, x : x + 40].any()
    assert np.abs(seamed.ink - plain.ink).sum() < 0.05 * plain.ink.sum()


def test_a_garment_without_words_has_no_print(reader: TextReader) -> None:
    plain = next(one for one in map(sample_garment, range(100)) if one.print == "none" and one.pattern == "plain")
    flat = photograph(plain, sample_shot(1, plain, "front", "white studio"), SIZE)
    assert find_print(flat.image, flat.mask >= 128, SHAPE, reader) is None

"""Colour differences against published values, exact images, and properties over random palettes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lapel.fidelity import Palette, colour_difference, dominant_colours
from lapel.fidelity.colour import delta_e, to_lab

# Sharma, Wu, Dalal: The CIEDE2000 color-difference formula (2005), pairs 1, 7, 13, 17, 25 of table 1.
SHARMA = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, -0.001, 2.49), (50.0, 0.0009, -2.49), 4.8045),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
]
RED, WHITE, NAVY = (208, 32, 38), (244, 244, 240), (24, 36, 92)
RGB = tuple[int, int, int]


def lab(*colours: RGB) -> npt.NDArray[np.float64]:
    return to_lab(np.array(colours, np.uint8))


def stripes(first: RGB, second: RGB, share: float = 0.5, period: int = 20, side: int = 96) -> Palette:
    """Of an image of two broad stripes, the first colour having that share of each period."""
    image = np.empty((side, side, 3), np.uint8)
    rows = np.arange(side) % period
    image[rows < share * period], image[rows >= share * period] = first, second
    return dominant_colours([image], [np.ones((side, side), bool)])


@pytest.mark.parametrize(("lab_a", "lab_b", "expected"), SHARMA)
def test_published_pairs(lab_a: tuple[float, ...], lab_b: tuple[float, ...], expected: float) -> None:
    assert float(delta_e(np.array(lab_a), np.array(lab_b))) == pytest.approx(expected, abs=1e-4)


def test_white_is_white() -> None:
    assert to_lab(np.array([255, 255, 255], np.uint8)) == pytest.approx([100, 0, 0], abs=0.02)


def test_only_the_masked_region_counts() -> None:
    image = np.full((40, 40, 3), 255, np.uint8)
    image[10:30, 10:30] = RED
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 255
    red = dominant_colours([np.full((8, 8, 3), RED, np.uint8)], [np.ones((8, 8), bool)])
    assert colour_difference(dominant_colours([image], [mask]), red).worst == pytest.approx(0, abs=1e-4)
    assert colour_difference(dominant_colours([image], [255 - mask]), red).median > 30


def test_colours_come_with_their_shares_the_commonest_first() -> None:
    found = stripes(RED, WHITE, share=0.7)
    assert found.lab == pytest.approx(lab(RED, WHITE), abs=0.01)
    assert found.shares == pytest.approx([0.7, 0.3], abs=0.05)


@pytest.mark.parametrize("share", [0.45, 0.48, 0.5, 0.52, 0.55])
def test_two_broad_stripes_are_steady(share: float) -> None:
    """Which stripe is a little broader decides a median colour; here it decides nothing."""
    assert colour_difference(stripes(RED, WHITE, share), stripes(RED, WHITE)).worst < 0.1


def test_a_second_colour_that_is_wrong_shows() -> None:
    difference = colour_difference(stripes(RED, NAVY), stripes(RED, WHITE))
    wrong = float(delta_e(lab(NAVY), lab(WHITE))[0])
    assert difference.worst == pytest.approx(wrong, abs=0.1)
    # as much of it as remains when red has stretched by half on either side
    assert difference.mean == pytest.approx(wrong / 3, rel=0.06)


def test_what_lies_between_two_stripes_is_no_colour_of_its_own() -> None:
    import cv2

    image = np.empty((96, 96, 3), np.uint8)
    image[np.arange(96) % 16 < 8], image[np.arange(96) % 16 >= 8] = RED, WHITE
    blurred = cv2.GaussianBlur(image, (0, 0), 0.9)
    found = dominant_colours([blurred], [np.ones((96, 96), bool)])
    assert len(found.shares) == 2
    assert delta_e(found.lab[:, None], lab(RED, WHITE)[None]).min(axis=1).max() < 2


def test_shades_of_one_dye_are_one_colour() -> None:
    light = np.linspace(0.86, 1.0, 96)[:, None, None]
    shaded = np.broadcast_to(np.array(RED) * light, (96, 96, 3)).astype(np.uint8)
    assert dominant_colours([shaded], [np.ones((96, 96), bool)]).shares == pytest.approx([1.0])


def test_every_photo_counts_the_same() -> None:
    photos = [np.full((90, 90, 3), RED, np.uint8), np.full((10, 10, 3), WHITE, np.uint8)]
    found = dominant_colours(photos, [np.ones(photo.shape[:2], bool) for photo in photos])
    assert found.shares == pytest.approx([0.5, 0.5])


palettes = st.lists(
    st.tuples(st.floats(5, 95), st.floats(-60, 60), st.floats(-60, 60), st.floats(0.1, 1)), min_size=1, max_size=5
).map(lambda rows: Palette(np.array(rows)[:, :3], np.array([row[3] for row in rows]) / sum(row[3] for row in rows)))


@settings(max_examples=60, deadline=None)
@given(one=palettes, other=palettes)
def test_a_difference_is_none_to_itself_and_the_same_either_way(one: Palette, other: Palette) -> None:
    assert colour_difference(one, one).mean == pytest.approx(0, abs=1e-9)
    there, back = colour_difference(one, other), colour_difference(other, one)
    assert there.mean == pytest.approx(back.mean, abs=1e-6)
    assert 0 <= there.mean <= delta_e(one.lab[:, None], other.lab[None]).max() + 1e-9
    assert there.median <= delta_e(one.lab[:, None], other.lab[None]).max() + 1e-9


def test_the_same_image_gives_the_same_palette() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    inside = np.ones((40, 40), bool)
    first = dominant_colours([noise], [inside])
    stripes(RED, NAVY)
    again = dominant_colours([noise], [inside])
    assert np.array_equal(first.lab, again.lab)


def test_refuses_an_empty_or_foreign_mask() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="empty"):
        dominant_colours([image], [np.zeros((4, 4), np.uint8)])
    with pytest.raises(ValueError, match="the mask is"):
        dominant_colours([image], [np.ones((4, 5), bool)])


def test_other_libraries_still_load_after_it() -> None:
    """In a new interpreter: what the colour library leaves behind for missing libraries must not break diffusers."""
    code = (
        "import numpy as np; from lapel.fidelity import dominant_colours; "
        "dominant_colours([np.zeros((2, 2, 3), np.uint8)], [np.ones((2, 2), bool)]); "
        "import diffusers; diffusers.StableDiffusionPipeline"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

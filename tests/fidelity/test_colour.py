"""Colour differences against published values and simple images."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from lapel.fidelity.colour import colour_difference, delta_e, median_lab

# Sharma, Wu, Dalal: The CIEDE2000 color-difference formula (2005), pairs 1, 7, 13, 17, 25 of table 1.
SHARMA = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, -0.001, 2.49), (50.0, 0.0009, -2.49), 4.8045),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
]


@pytest.mark.parametrize(("lab_a", "lab_b", "expected"), SHARMA)
def test_published_pairs(lab_a: tuple[float, ...], lab_b: tuple[float, ...], expected: float) -> None:
    assert float(delta_e(np.array(lab_a), np.array(lab_b))) == pytest.approx(expected, abs=1e-4)


def test_only_the_masked_region_counts() -> None:
    image = np.full((40, 40, 3), 255, np.uint8)
    image[10:30, 10:30] = (208, 32, 38)
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 255
    red = np.full((8, 8, 3), (208, 32, 38), np.uint8)
    assert colour_difference(image, mask, red, np.ones((8, 8), bool)) == pytest.approx(0, abs=1e-9)
    assert colour_difference(image, 255 - mask, red, np.ones((8, 8), bool)) > 30


def test_white_is_white() -> None:
    lab = median_lab(np.full((4, 4, 3), 255, np.uint8), np.ones((4, 4), bool))
    assert lab == pytest.approx([100, 0, 0], abs=0.02)


def test_refuses_an_empty_or_foreign_mask() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="empty"):
        median_lab(image, np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="the mask is"):
        median_lab(image, np.ones((4, 5), bool))


def test_other_libraries_still_load_after_it() -> None:
    """In a new interpreter: what the colour library leaves behind for missing libraries must not break diffusers."""
    code = (
        "import numpy as np; from lapel.fidelity import median_lab; "
        "median_lab(np.zeros((2, 2, 3), np.uint8), np.ones((2, 2), bool)); "
        "import diffusers; diffusers.StableDiffusionPipeline"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

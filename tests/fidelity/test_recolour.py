"""A garment of a known colour shift comes back to its photos' colours, and nothing else changes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from lapel.fidelity import Palette, dominant_colours
from lapel.fidelity.colour import from_lab, to_lab
from lapel.fidelity.recolour import recolour
from lapel.wardrobe import photograph, sample_garment, sample_shot


def shifted(
    seed: int, shift: tuple[float, float, float]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_], Palette]:
    """A photo whose garment has another tint, its region, and the palette of the garment's other photos."""
    garment = sample_garment(seed, "train")
    photo = photograph(garment, sample_shot(seed, garment, "front"), 128)
    others = [photograph(garment, sample_shot(seed + 50 + n, garment, "front"), 128) for n in range(3)]
    region = photo.mask >= 128
    image = photo.image.copy()
    image[region] = from_lab(to_lab(image[region]) + np.array(shift))
    return image, region, dominant_colours([other.image for other in others], [other.mask for other in others])


@pytest.mark.parametrize("seed", range(8))
def test_a_shift_is_taken_back_within_the_region(seed: int) -> None:
    image, region, photos = shifted(seed, (6, 8, -8))
    result = recolour(image, region, photos, "strict")
    assert result.before.mean > 3
    assert result.after.mean < min(0.6 * result.before.mean, 3.0)
    assert (result.image[~region] == image[~region]).all()


def test_light_and_shade_stay() -> None:
    image, region, photos = shifted(0, (0, 10, 10))
    fixed = recolour(image, region, photos, "strict").image
    before, after = (to_lab(pixels)[region][:, 0] for pixels in (image, fixed))
    assert np.corrcoef(before, after)[0, 1] > 0.97


def test_off_measures_only_and_auto_leaves_what_is_right_or_another_garment() -> None:
    image, region, photos = shifted(1, (6, 8, -8))
    measured = recolour(image, region, photos, "off")
    assert (measured.image == image).all() and measured.before == measured.after
    right, region, photos = shifted(2, (0, 0, 0))
    assert (recolour(right, region, photos, "auto").image == right).all()
    other = Palette(np.array([[30.0, 60.0, -60.0]]), np.array([1.0]))
    assert (recolour(right, region, other, "auto").image == right).all()


def test_lab_goes_and_comes_back() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 3), np.uint8)
    assert (from_lab(to_lab(pixels)) == pixels).all()

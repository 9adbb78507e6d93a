"""A sketch shows the new garment on the person, skin where it bares any, and nothing new beyond the mask."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lapel.errors import UserError
from lapel.fidelity.colour import delta_e, to_lab
from lapel.fidelity.likeness import masked_ssim
from lapel.generation.sketch import sketch_change
from lapel.photos.people.change import Wearer, change_of_clothes
from lapel.photos.people.looks import Worn
from lapel.photos.people.pose import Pose
from lapel.wardrobe import PARSING, Garment, Photograph, photograph, sample_garment, sample_shot

SIZE = 256
WORN = Worn("t-shirt", {"sleeves": "short sleeve"})


def wardrobe(kind: str, sleeve: str, pattern: str) -> Garment:
    known = (sample_garment(seed) for seed in range(100_000))
    return next(one for one in known if (one.kind, one.sleeve, one.pattern) == (kind, sleeve, pattern))


@pytest.fixture(scope="module")
def change() -> tuple[Photograph, Photograph, Photograph]:
    """Somebody in a long sleeved shirt, in a striped t-shirt instead, and that laid flat."""
    old, new = wardrobe("long sleeve shirt", "long", "plain"), wardrobe("t-shirt", "short", "striped")
    shot = sample_shot(8, new, "worn", "grey studio")
    before, after = (photograph(one, shot, SIZE, framed_for=old) for one in (old, new))
    return before, after, photograph(new, sample_shot(3, new, "front", "white studio"), SIZE)


def sketched(change: tuple[Photograph, Photograph, Photograph], parsed: bool) -> tuple[np.ndarray, np.ndarray]:
    before, _, flat = change
    pose = Pose(before.keypoints, (SIZE, SIZE))
    known = Wearer(Image.fromarray(before.image), pose, before.parsing)
    mask = change_of_clothes(known, WORN).mask
    wearer = known if parsed else Wearer(known.photo, pose)
    garment = (Image.fromarray(flat.image), Image.fromarray(flat.mask))
    return np.asarray(sketch_change(wearer, mask, WORN, garment)), np.asarray(mask) > 0


@pytest.mark.parametrize("parsed", [True, False])
def test_it_is_nearer_to_the_truth_than_the_photo(
    change: tuple[Photograph, Photograph, Photograph], parsed: bool
) -> None:
    before, after, _ = change
    sketch, mask = sketched(change, parsed)
    assert (sketch[~mask] == before.image[~mask]).all()
    garment = after.mask >= 128
    assert masked_ssim(sketch, after.image, garment) > masked_ssim(before.image, after.image, garment) + 0.1
    bared = mask & (after.parsing == PARSING["skin"]) & (before.parsing != PARSING["skin"])
    assert bared.sum() > 100
    off = delta_e(to_lab(sketch), to_lab(after.image))[bared]
    assert np.median(off) < 6 < np.median(delta_e(to_lab(before.image), to_lab(after.image))[bared])


def test_trousers_are_laid_from_the_waist_down() -> None:
    new, old = wardrobe("trousers", "none", "plain"), wardrobe("shorts", "none", "plain")
    shot = sample_shot(4, new, "worn", "grey studio")
    before, after = (photograph(one, shot, SIZE, framed_for=new) for one in (old, new))
    flat = photograph(new, sample_shot(3, new, "front", "white studio"), SIZE)
    wearer = Wearer(Image.fromarray(before.image), Pose(before.keypoints, (SIZE, SIZE)), before.parsing)
    mask = change_of_clothes(wearer, Worn("trousers")).mask
    garment = (Image.fromarray(flat.image), Image.fromarray(flat.mask))
    sketch = np.asarray(sketch_change(wearer, mask, Worn("trousers"), garment))
    covered = (np.asarray(mask) > 0) & (after.parsing == PARSING["lower"])
    off = delta_e(to_lab(sketch), to_lab(after.image))[covered]
    assert (off < 15).mean() > 0.9


def test_nothing_to_lay_is_said(change: tuple[Photograph, Photograph, Photograph]) -> None:
    before, _, flat = change
    wearer = Wearer(Image.fromarray(before.image), Pose(before.keypoints, (SIZE, SIZE)), before.parsing)
    mask = change_of_clothes(wearer, WORN).mask
    with pytest.raises(UserError, match="mask is empty"):
        sketch_change(wearer, mask, WORN, (Image.fromarray(flat.image), Image.new("L", (SIZE, SIZE))))

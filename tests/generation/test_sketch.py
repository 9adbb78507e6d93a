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


def wardrobe(kind: str, pattern: str) -> Garment:
    known = (sample_garment(seed) for seed in range(100_000))
    return next(one for one in known if (one.kind, one.pattern, one.print) == (kind, pattern, "none"))


@pytest.fixture(scope="module")
def change() -> tuple[Photograph, Photograph, Photograph]:
    """Somebody in a long sleeved shirt, in a striped t-shirt instead, and that laid flat."""
    old, new = wardrobe("long sleeve shirt", "plain"), wardrobe("t-shirt", "striped")
    shot = sample_shot(8, new, "worn", "grey studio")
    before, after = (photograph(one, shot, SIZE, framed_for=old) for one in (old, new))
    return before, after, photograph(new, sample_shot(3, new, "front", "white studio"), SIZE)


def sketched(change: tuple[Photograph, Photograph, Photograph], parsed: bool) -> tuple[np.ndarray, np.ndarray]:
    before, _, flat = change
    pose = Pose(before.keypoints, (SIZE, SIZE))
    known = Wearer(Image.fromarray(before.image), pose, before.parsing)
    mask = np.asarray(change_of_clothes(known, WORN).mask)
    wearer = known if parsed else Wearer(known.photo, pose)
    garment = (Image.fromarray(flat.image), Image.fromarray(flat.mask))
    return np.asarray(sketch_change(wearer, mask, WORN, garment)), mask > 0


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


@pytest.mark.parametrize(
    ("kind", "old"), [("trousers", "shorts"), ("skirt", "shorts"), ("dress", "t-shirt"), ("t-shirt", "hoodie")]
)
def test_a_garment_is_laid_from_its_top_to_its_hem(kind: str, old: str) -> None:
    new, before = (wardrobe(name, "plain") for name in (kind, old))
    shot = sample_shot(4, new, "worn", "grey studio")
    photo, after = (photograph(one, shot, SIZE, framed_for=new) for one in (before, new))
    flat = photograph(new, sample_shot(3, new, "front", "white studio"), SIZE)
    worn = Worn(kind, {"length": {"short": "mini", "long": "maxi"}.get(new.length, "")})
    wearer = Wearer(Image.fromarray(photo.image), Pose(photo.keypoints, (SIZE, SIZE)), photo.parsing)
    mask = np.asarray(change_of_clothes(wearer, worn).mask)
    # As bright as far down the garment.
    inside = flat.mask >= 128
    down = np.interp(np.arange(SIZE), np.nonzero(inside.any(axis=1))[0][[0, -1]], (0, 255)).astype(np.uint8)
    garment = Image.fromarray(np.broadcast_to(down[:, None, None], (SIZE, SIZE, 3)).copy())
    sketch = np.asarray(sketch_change(wearer, mask, worn, (garment, Image.fromarray(flat.mask))))[..., 0].astype(int)
    ends = np.nonzero((after.mask >= 128).any(axis=1))[0][[0, -1]]
    column = round(float(np.median(np.nonzero(after.mask >= 128)[1])))
    rows = np.nonzero((mask[:, column] > 0) & (after.mask[:, column] >= 128))[0]
    off = np.abs(sketch[rows, column] - np.interp(rows, ends, (0, 255)))
    assert off.mean() < 15


def test_what_cannot_be_laid_is_said(change: tuple[Photograph, Photograph, Photograph]) -> None:
    before, _, flat = change
    photo, pose = Image.fromarray(before.image), Pose(before.keypoints, (SIZE, SIZE))
    wearer = Wearer(photo, pose, before.parsing)
    mask = np.asarray(change_of_clothes(wearer, WORN).mask)
    garment = (Image.fromarray(flat.image), Image.fromarray(flat.mask))
    with pytest.raises(UserError, match="mask shows none"):
        sketch_change(wearer, mask, WORN, (garment[0], Image.new("L", (SIZE, SIZE))))
    corner = np.zeros_like(mask)
    corner[:4, :4] = 255
    with pytest.raises(UserError, match="not where the pose"):
        sketch_change(wearer, corner, WORN, garment)
    below = before.keypoints.copy()
    below[:8, 2] = 0
    with pytest.raises(UserError, match="no shoulders"):
        sketch_change(Wearer(photo, Pose(below, (SIZE, SIZE))), mask, WORN, garment)

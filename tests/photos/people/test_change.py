"""Masks for a change of clothes on the wardrobe's people, where skeleton, parsing and both garments are known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from lapel.errors import UserError
from lapel.photos.people.change import Wearer, change_of_clothes, change_within
from lapel.photos.people.looks import Worn
from lapel.photos.people.parsing import PALETTE, read_parsing, write_parsing
from lapel.photos.people.pose import Pose
from lapel.photos.people.shape import area, body_of, hands, head
from lapel.photos.people.skin import wears_long_sleeves
from lapel.photos.read import read_picture
from lapel.wardrobe import PARSING, Garment, Photograph, photograph, sample_garment, sample_shot

SIZE = 256
SLEEVES = {"none": "sleeveless", "short": "short sleeve", "long": "long sleeve"}
LENGTHS = {
    "dress": {"short": "knee length", "regular": "midi", "long": "maxi"},
    "skirt": {"short": "mini", "regular": "knee length", "long": "maxi"},
}


def dressed(seed: int, kinds: tuple[str, ...] = ()) -> tuple[Garment, Photograph]:
    garment = sample_garment(seed, "train")
    while kinds and garment.kind not in kinds:
        garment = sample_garment(garment.seed + 1000, "train")
    return garment, photograph(garment, sample_shot(seed, garment, "worn"), SIZE)


def told(garment: Garment) -> Worn:
    words = {"sleeves": SLEEVES.get(garment.sleeve, "")}
    if garment.kind in LENGTHS:
        words["length"] = LENGTHS[garment.kind][garment.length]
    return Worn(garment.kind, words)


@pytest.mark.parametrize("seed", range(40))
def test_the_area_holds_the_garment_as_it_is_worn(seed: int) -> None:
    garment, photo = dressed(seed)
    body = body_of(Pose(photo.keypoints, (SIZE, SIZE)))
    assert body is not None
    found, truth = area(told(garment).shape, body, (SIZE, SIZE)), photo.mask >= 128
    assert (found & truth).sum() / truth.sum() > 0.97
    assert found.sum() < 2.1 * truth.sum()


@pytest.mark.parametrize("seed", range(12))
def test_old_and_new_are_covered_and_the_head_is_not(seed: int) -> None:
    _, photo = dressed(seed, ("t-shirt", "hoodie", "button shirt", "tank top", "long sleeve shirt"))
    pose = Pose(photo.keypoints, (SIZE, SIZE))
    wearer = Wearer(Image.fromarray(photo.image), pose, photo.parsing)
    mask = np.asarray(change_of_clothes(wearer, Worn("hoodie")).mask) > 0
    assert mask[photo.mask >= 128].mean() > 0.98
    assert not mask[photo.parsing == PARSING["hair"]].any()
    body = body_of(pose)
    assert body is not None
    face = head(pose, body) & (photo.parsing == PARSING["skin"])
    assert face.any() and not mask[face].any()
    kept = np.asarray(change_of_clothes(wearer, Worn("hoodie")).kept) > 0
    assert kept[face].all() and kept[photo.parsing == PARSING["hair"]].all() and not (kept & mask).any()
    # Sleeves reach further than those of a tank top.
    short = np.asarray(change_of_clothes(wearer, Worn("tank top")).mask) > 0
    assert mask.sum() >= short.sum()


@pytest.mark.parametrize("seed", [*range(8), 12, 31, 32])
def test_long_sleeves_are_covered_by_the_pose_alone(seed: int) -> None:
    """The last three have walls of their sleeves' colours, which the intake takes for the wall."""
    _, photo = dressed(seed, ("hoodie", "button shirt", "long sleeve shirt", "jacket"))
    change = change_of_clothes(
        Wearer(Image.fromarray(photo.image), Pose(photo.keypoints, (SIZE, SIZE))), Worn("tank top")
    )
    assert (np.asarray(change.mask) > 0)[photo.mask >= 128].mean() > 0.97


@pytest.mark.parametrize("seed", range(8))
def test_bare_arms_are_told_from_covered_ones_in_the_shade_too(seed: int) -> None:
    for kinds, covered in ((("t-shirt", "tank top"), False), (("hoodie", "long sleeve shirt"), True)):
        _, photo = dressed(seed, kinds)
        pose = Pose(photo.keypoints, (SIZE, SIZE))
        body = body_of(pose)
        assert body is not None
        elbows = min(arm[1][1] for arm in body.arms)
        shade = np.where(np.arange(SIZE)[:, None, None] > elbows - 2, 0.85, 1.0)
        for image in (photo.image, (photo.image * shade).astype(np.uint8)):
            assert wears_long_sleeves(Image.fromarray(image), pose, body) == covered
        faceless = Pose(np.vstack([np.zeros((1, 3)), photo.keypoints[1:]]).astype(np.float32), (SIZE, SIZE))
        assert not wears_long_sleeves(Image.fromarray(photo.image), faceless, body)


def test_what_is_not_found_is_covered_at_its_longest() -> None:
    _, photo = dressed(0, ("long sleeve shirt",))
    pose = Pose(photo.keypoints, (SIZE, SIZE))
    body = body_of(pose)
    assert body is not None
    flat = Wearer(Image.new("RGB", (SIZE, SIZE), "white"), pose)
    for word, longest in (("tank top", Worn("hoodie")), ("shorts", Worn("trousers")), ("dress", Worn("jumpsuit"))):
        change = change_of_clothes(flat, Worn(word))
        inside = area(longest.shape, body, (SIZE, SIZE)) & (np.asarray(change.kept) == 0)
        assert not change.found and (np.asarray(change.mask) > 0)[inside].all()


@pytest.mark.parametrize("seed", range(6))
def test_hands_stay_unless_the_old_garment_holds_them(seed: int) -> None:
    _, photo = dressed(seed, ("t-shirt", "tank top"))
    pose = Pose(photo.keypoints, (SIZE, SIZE))
    wearer = Wearer(Image.fromarray(photo.image), pose, photo.parsing)
    body = body_of(pose)
    assert body is not None
    held = hands(body, (SIZE, SIZE)) & (photo.parsing == PARSING["skin"])
    change = change_of_clothes(wearer, Worn("hoodie"))
    assert held.any() and not (np.asarray(change.mask) > 0)[held].any() and (np.asarray(change.kept) > 0)[held].all()


def test_a_mask_of_ones_own_protects_what_it_leaves_and_gives_the_same_change() -> None:
    _, photo = dressed(2, ("t-shirt",))
    wearer = Wearer(Image.fromarray(photo.image), Pose(photo.keypoints, (SIZE, SIZE)), photo.parsing)
    made = change_of_clothes(wearer, Worn("hoodie"))
    again = change_within(wearer, made.mask)
    assert (np.asarray(again.kept) == np.asarray(made.kept)).all() and again.mask is made.mask
    brushed = np.asarray(change_within(wearer, Image.new("L", (SIZE, SIZE), 255)).kept)
    assert not brushed.any()


def test_without_a_pose_skin_stays_beside_the_old_garment() -> None:
    _, photo = dressed(2, ("t-shirt",))
    change = change_of_clothes(Wearer(Image.fromarray(photo.image), None, photo.parsing), Worn("t-shirt"))
    skin = photo.parsing == PARSING["skin"]
    kept, mask = (np.asarray(part) > 0 for part in (change.kept, change.mask))
    assert kept[skin & ~mask].all() and kept[skin].mean() > 0.9


def test_a_high_neck_is_covered_up_to_the_chin() -> None:
    _, photo = dressed(1, ("t-shirt",))
    body = body_of(Pose(photo.keypoints, (SIZE, SIZE)))
    assert body is not None
    crew, turtle = (
        area(Worn("sweater", {"neckline": name}).shape, body, (SIZE, SIZE)) for name in ("crew neck", "turtle neck")
    )
    rows = [int(np.nonzero(one.any(axis=1))[0][0]) for one in (turtle, crew)]
    assert (crew & ~turtle).sum() == 0 and rows[1] - rows[0] == pytest.approx(0.22 * body.unit, abs=2)
    assert (
        area(Worn("hoodie").shape, body, (SIZE, SIZE))
        == area(Worn("sweater", {"collar": "hood"}).shape, body, (SIZE, SIZE))
    ).all()


def test_trousers_leave_the_upper_garment_alone() -> None:
    _, photo = dressed(3, ("t-shirt",))
    wearer = Wearer(Image.fromarray(photo.image), Pose(photo.keypoints, (SIZE, SIZE)), photo.parsing)
    mask = np.asarray(change_of_clothes(wearer, Worn("trousers")).mask) > 0
    above = photo.parsing[: SIZE // 2] == PARSING["upper"]
    assert mask[: SIZE // 2][above].mean() < 0.4
    assert mask[photo.parsing == PARSING["lower"]].mean() > 0.98


@pytest.mark.parametrize("kinds", [("hoodie", "t-shirt"), ("t-shirt", "hoodie"), ("skirt", "trousers")])
def test_other_clothes_stay_below_the_new_hem(kinds: tuple[str, str]) -> None:
    """Whoever wears the one and then the other, in the same pose and with the same other clothes."""
    for seed in range(4):
        (old, _), (new, _) = (dressed(seed, (kind,)) for kind in kinds)
        shot = sample_shot(seed, new, "worn")
        before, after = (photograph(one, shot, SIZE, framed_for=old) for one in (old, new))
        wearer = Wearer(Image.fromarray(before.image), Pose(before.keypoints, (SIZE, SIZE)), before.parsing)
        mask = np.asarray(change_of_clothes(wearer, told(new)).mask) > 0
        assert mask[after.mask >= 128].mean() > 0.95 and mask[before.mask >= 128].mean() > 0.98
        other = PARSING["upper" if new.kind in ("skirt", "trousers") else "lower"]
        stays = (before.parsing == other) & (after.parsing == other)
        body = body_of(wearer.pose) if wearer.pose else None
        assert body is not None and stays.any()
        worn = ((before.mask >= 128) | (after.mask >= 128)).astype(np.uint8)
        near = cv2.distanceTransform(1 - worn, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        assert not mask[stays & (near > 0.3 * body.unit)].any()
        assert mask[stays].mean() < 0.25


def test_without_pose_or_parsing_the_garment_goes_where_the_old_one_is() -> None:
    overlaps = []
    for seed in range(6):
        _, photo = dressed(seed, ("t-shirt", "hoodie", "long sleeve shirt"))
        try:
            mask = np.asarray(change_of_clothes(Wearer(Image.fromarray(photo.image)), Worn("t-shirt")).mask) > 0
        except UserError as refused:
            assert "--pose" in str(refused)
            continue
        overlaps.append(mask[photo.mask >= 128].mean())
    assert len(overlaps) >= 3 and np.median(overlaps) > 0.9


def test_nobody_is_refused() -> None:
    grass = Image.fromarray(np.random.default_rng(0).integers(60, 90, (200, 150, 3), np.uint8))
    with pytest.raises(UserError, match="say where"):
        change_of_clothes(Wearer(grass), Worn("t-shirt"))
    points = np.zeros((18, 3), np.float32)
    points[0] = 50, 50, 1
    with pytest.raises(UserError, match="no shoulders"):
        change_of_clothes(Wearer(grass, Pose(points, grass.size)), Worn("t-shirt"))


def test_a_parsing_map_is_painted_and_read(tmp_path: Path) -> None:
    _, photo = dressed(1)
    write_parsing(photo.parsing, tmp_path / "map.png")
    assert (read_parsing(tmp_path / "map.png", (SIZE, SIZE)) == photo.parsing).all()
    # What an editor saves: RGB, and colours that are a little off.
    pixels = np.array(Image.open(tmp_path / "map.png").convert("RGB"), np.int16)
    shaken = (pixels + np.random.default_rng(0).integers(-9, 10, pixels.shape)).clip(0, 255).astype(np.uint8)
    Image.fromarray(shaken).save(tmp_path / "edited.png")
    assert (read_parsing(tmp_path / "edited.png", (SIZE, SIZE)) == photo.parsing).all()
    Image.fromarray(photo.parsing).save(tmp_path / "grey.png")
    assert (read_parsing(tmp_path / "grey.png", (SIZE, SIZE)) == photo.parsing).all()
    assert set(PALETTE) == set(PARSING)


def test_a_parsing_map_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    Image.new("L", (20, 30)).save(tmp_path / "small.png")
    Image.new("L", (10, 10), 77).save(tmp_path / "grey.png")
    (tmp_path / "text.png").write_text("no")
    for name, size, said in (
        ("small", (10, 10), "one size"),
        ("grey", (10, 10), "no class"),
        ("text", (1, 1), "not a"),
    ):
        with pytest.raises(UserError, match=said):
            read_parsing(tmp_path / f"{name}.png", size)


def test_an_outfit_is_an_upper_and_a_lower_garment(real_photos: Path) -> None:
    for name in ("mp05-blue_outfit", "wp06-black_outfit"):
        wearer = Wearer(read_picture(real_photos / "persons" / f"{name}.jpg", "white").colour)
        upper, lower = (np.asarray(change_of_clothes(wearer, Worn(word)).mask) > 0 for word in ("hoodie", "trousers"))
        assert (upper & lower).sum() < 0.1 * min(upper.sum(), lower.sum())
        rows = [np.nonzero(mask)[0].mean() for mask in (upper, lower)]
        assert rows[0] < 0.5 * wearer.photo.height < rows[1]

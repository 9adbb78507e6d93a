"""The garment is told from what is behind it and from who wears it, and how surely is said."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lapel.photos.masks import Mask, find_mask
from lapel.photos.masks.separate import separate
from lapel.photos.read import Picture, read_picture
from lapel.wardrobe import photograph, sample_garment, sample_shot


def overlap(mask: Image.Image, truth: Image.Image) -> float:
    a, b = np.asarray(mask) >= 128, np.asarray(truth) >= 128
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize(
    ("view", "scene", "source", "least"),
    [
        ("front", "grey studio", "background", 0.93),
        ("back", "beach", "scene", 0.85),
        ("front", "bedroom", "scene", 0.85),
        ("detail", "park", "scene", 0.85),
        ("worn", "white studio", "worn", 0.8),
        ("worn", "street", "worn", 0.8),
    ],
)
def test_wardrobe_garments_are_found(view: str, scene: str, source: str, least: float) -> None:
    scores = []
    for seed in range(6):
        garment = sample_garment(seed, "train")
        photo = photograph(garment, sample_shot(seed, garment, view, scene), 256)
        mask = separate(Image.fromarray(photo.image), garment.kind, view)
        assert (mask.source, mask.image.mode, mask.image.size) == (source, "L", (256, 256))
        scores.append(overlap(mask.image, Image.fromarray(photo.mask)))
    assert mean(scores) > least


def test_what_is_surer_is_nearer_the_truth() -> None:
    pairs = []
    for seed in range(24):
        garment = sample_garment(seed, "train")
        photo = photograph(garment, sample_shot(seed, garment, "worn"), 256)
        mask = separate(Image.fromarray(photo.image), garment.kind, "worn")
        pairs.append((mask.trust, overlap(mask.image, Image.fromarray(photo.mask))))
    pairs.sort()
    assert mean(score for _, score in pairs[:8]) < mean(score for _, score in pairs[-8:]) - 0.05
    assert abs(mean(trust for trust, _ in pairs) - mean(score for _, score in pairs)) < 0.1


@pytest.mark.parametrize("behind", ["white", "noise"])
def test_thin_straps_survive_at_latent_size(behind: str) -> None:
    truth = Image.new("L", (512, 512))
    draw = ImageDraw.Draw(truth)
    draw.rectangle((170, 200, 342, 420), 255)
    draw.line((200, 90, 200, 205), 255, 4)
    cells = np.random.default_rng(0).integers(90, 200, (64, 64), dtype=np.uint8)
    noise = Image.fromarray(cells).resize((512, 512), Image.Resampling.NEAREST).convert("RGB")
    backdrop = Image.new("RGB", (512, 512), "white") if behind == "white" else noise
    photo = Image.composite(Image.new("RGB", (512, 512), (150, 30, 60)), backdrop, truth)
    latent = np.asarray(separate(photo, "tank top", "front").image.resize((64, 64), Image.Resampling.BOX))
    strap = np.asarray(truth.resize((64, 64), Image.Resampling.BOX))[13:24]
    assert latent[13:24][strap > 0].mean() > 0.75 * strap[strap > 0].mean()


def test_edges_are_soft() -> None:
    garment = sample_garment(1, "train")
    photo = photograph(garment, sample_shot(1, garment, "front", "beach"), 512)
    mask = np.asarray(separate(Image.fromarray(photo.image), garment.kind, "front").image)
    between = (mask > 10) & (mask < 245)
    assert 0.002 < between.mean() < 0.05


def test_an_untrusted_mask_is_used_softly() -> None:
    hard = Image.new("L", (4, 2), 0)
    hard.putpixel((0, 0), 255)
    assert Mask(hard, "scene", 0.9).for_training() is hard
    soft = Mask(hard, "worn", 0.6).for_training()
    assert (soft.getpixel((0, 0)), soft.getpixel((1, 0))) == (255, round(0.4 * 255))
    assert Mask(hard, "none", 0.0).for_training().getextrema() == (255, 255)


def test_the_surest_source_is_taken() -> None:
    photo, mask = Image.new("RGB", (90, 90), "white"), Image.new("L", (90, 90), 255)
    photo.paste((200, 30, 30), (20, 20, 70, 70))
    assert find_mask(Picture(photo, mask), mask, "t-shirt", "").source == "file"
    assert find_mask(Picture(photo, mask), None, "t-shirt", "").source == "alpha"
    assert find_mask(Picture(photo, None), None, "t-shirt", "").source == "background"
    assert find_mask(Picture(Image.new("RGB", (90, 90)), None), None, "t-shirt", "").source == "none"


def test_cut_outs_on_white(real_photos: Path) -> None:
    scores = []
    for path in sorted((real_photos / "saleor").rglob("*.png")):
        picture = read_picture(path, "white")
        assert picture.alpha is not None
        scores.append(overlap(separate(picture.colour, "hoodie", "front").image, picture.alpha))
    assert mean(scores) > 0.98


def test_worn_photos_without_skin_hair_and_other_clothes(real_photos: Path) -> None:
    words = {"mh11-orange__white": "sweatshirt", "msh07-black__blue": "shorts", "wh08-white__purple": "jacket"}
    scores = []
    for folder in sorted((real_photos / "colourway-pairs").iterdir()):
        with Image.open(folder / "mask_from_diff.png") as truth:
            for name in ("a.jpg", "b.jpg"):
                mask = separate(read_picture(folder / name, "white").colour, words[folder.name], "")
                assert mask.source == "worn"
                scores.append(overlap(mask.image, truth.convert("L")))
    assert mean(scores) > 0.85


def test_somebody_inside_a_mask_lowers_its_trust() -> None:
    from PIL import Image, ImageDraw

    from lapel.photos.masks.separate import separate

    photo = Image.new("RGB", (300, 300), "white")
    draw = ImageDraw.Draw(photo)
    draw.rectangle((90, 60, 210, 240), "navy")
    assert separate(photo, "t-shirt", "").trust == 0.97
    draw.rectangle((120, 130, 160, 170), (222, 172, 132))
    doubted = separate(photo, "t-shirt", "")
    assert (doubted.source, doubted.trust) == ("background", 0.8)
    assert not doubted.movable


def test_a_close_up_reaches_three_sides_or_has_no_plain_background() -> None:
    import numpy as np
    from PIL import Image

    from lapel.photos.masks.plain import is_close_up

    photo = Image.new("RGB", (200, 240), "white")
    photo.paste("navy", (50, 60, 150, 240))
    assert not is_close_up(photo)
    photo.paste("navy", (0, 120, 200, 240))
    assert is_close_up(photo)
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    assert is_close_up(Image.fromarray(noise))

"""Measures of sets of images: prompts, backgrounds, drift, diversity, retrieval, and printed words."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from lapel.base.find import TINY_FOLDER
from lapel.errors import UserError
from lapel.fidelity import ImageTower
from lapel.fidelity.drift import background, class_drift, diversity, leak, person
from lapel.fidelity.gallery import retrieval_rank, wardrobe_gallery
from lapel.fidelity.lettering import TextReader, character_error_rate
from lapel.fidelity.prompt import prompt_margins
from lapel.wardrobe import photograph, phrase, sample_garment, sample_shot


@pytest.fixture(scope="module")
def tower() -> ImageTower:
    return ImageTower(TINY_FOLDER)


def renders(*scenes: str, kind: str = "t-shirt") -> list[Image.Image]:
    garments = [dataclasses.replace(sample_garment(number), kind=kind) for number in range(len(scenes))]
    return [
        Image.fromarray(photograph(garment, sample_shot(number, garment, "front", scene), 96).image)
        for number, (garment, scene) in enumerate(zip(garments, scenes, strict=True))
    ]


def test_an_image_is_nearer_to_its_own_prompt(tower: ImageTower) -> None:
    scenes = ("beach", "snow", "brick wall")
    images, prompts = renders(*scenes), [phrase("t-shirt", "front", scene) for scene in scenes]
    right = prompt_margins(tower, images, prompts)
    wrong = prompt_margins(tower, images, prompts[1:] + prompts[:1])
    assert (right > 0).all()
    assert (right > wrong).all()
    with pytest.raises(ValueError, match="1 of them distinct"):
        prompt_margins(tower, images, prompts[:1] * 3)


def test_a_background_leaks_by_as_much_of_it_as_there_is() -> None:
    region = np.zeros((64, 64), bool)
    region[16:48, 16:48] = True

    def on(colour: tuple[int, int, int]) -> np.ndarray:
        image = np.full((64, 64, 3), colour, np.uint8)
        image[region] = (208, 32, 38)
        return image

    asked, trained, between = ((v,) * 3 for v in (230, 60, 145))
    base, photo = background(on(asked), region), background(on(trained), region)
    assert leak(base, base, [photo]) == 0
    assert leak(photo, base, [photo]) == pytest.approx(1, abs=1e-3)
    assert 0.3 < leak(background(on(between), region), base, [photo]) < 0.7


def test_the_photographed_person_is_told_from_the_scene_and_from_another() -> None:
    region = np.zeros((96, 96), bool)
    region[30:60, 32:64] = True
    skin, hair, park, street = (224, 172, 130), (60, 30, 20), (70, 150, 60), (120, 120, 130)

    def worn(head: tuple[int, int, int], legs: tuple[int, int, int], scene: tuple[int, int, int]) -> np.ndarray:
        image = np.full((96, 96, 3), scene, np.uint8)
        image[10:30, 42:54], image[60:96, 40:56] = head, legs
        image[region] = (208, 32, 38)
        return image

    photo = person(worn(skin, hair, street), region)
    assert len(photo.lab) == 2
    base = person(worn((90, 60, 40), (30, 60, 200), park), region)
    assert leak(person(worn(skin, hair, park), region), base, [photo]) == pytest.approx(1, abs=1e-3)
    assert leak(person(worn((90, 60, 40), (30, 60, 200), street), region), base, [photo]) == 0
    alone = np.full((96, 96, 3), park, np.uint8)
    assert person(alone, region).lab == pytest.approx(background(alone, region).lab, abs=0.1)


def test_drift_and_diversity_of_known_sets(tower: ImageTower) -> None:
    images = renders("beach", "snow", "park")
    assert class_drift(tower, images, images) == pytest.approx(0, abs=1e-5)
    assert class_drift(tower, images, images[1:] + images[:1]) > 0.1
    assert diversity(tower, images[:1] * 3) == pytest.approx(0, abs=1e-5)
    assert diversity(tower, images) > 0.1
    with pytest.raises(ValueError, match="1 images"):
        diversity(tower, images[:1])


def test_a_gallery_has_the_garment_first_and_near_ones() -> None:
    garment = sample_garment(5)
    gallery = wardrobe_gallery(garment, 50, seed=1)
    assert gallery == wardrobe_gallery(garment, 50, seed=1) != wardrobe_gallery(garment, 50, seed=2)
    assert gallery[0] == garment
    assert len(gallery) == 50
    assert all(gallery.count(one) == 1 for one in gallery)
    cut = [dataclasses.replace(one, colours=(), pattern="", print="") for one in gallery[1:25]]
    assert all(one == dataclasses.replace(garment, colours=(), pattern="", print="") for one in cut)


def test_a_rank_counts_those_that_are_nearer() -> None:
    similarities = torch.tensor([0.5, 0.9, 0.4, 0.6])
    assert [retrieval_rank(similarities, right) for right in range(4)] == [3, 1, 4, 2]


@pytest.mark.parametrize(
    ("read", "printed", "rate"), [("MOON", "MOON", 0), ("moon", "MOON", 0), ("MOO", "MOON", 0.25), ("", "SUN", 1)]
)
def test_character_error_rates(read: str, printed: str, rate: float) -> None:
    pytest.importorskip("rapidfuzz")
    assert character_error_rate(read, printed) == rate


def test_a_printed_word_is_read_and_a_plain_shirt_is_not() -> None:
    pytest.importorskip("rapidocr_onnxruntime")
    shirts = (sample_garment(seed) for seed in range(5000))
    garment = dataclasses.replace(next(g for g in shirts if g.kind == "t-shirt" and g.print == "SUN"))
    reader = TextReader()
    for word, expected in (("WAVE", "WAVE"), ("none", "")):
        shown = dataclasses.replace(garment, print=word)
        photo = photograph(shown, sample_shot(5, shown, "front"), 128)
        assert reader.read(photo.image, photo.mask >= 128) == expected


def test_reading_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rapidocr_onnxruntime", None)
    with pytest.raises(UserError, match="pip install"):
        TextReader()

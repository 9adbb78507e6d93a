"""Photos of wardrobe garments with one thing changed by a known amount, and sets of images wrong by a known share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lapel.wardrobe import Photograph, photograph, phrase, sample_garment, sample_shot
from lapel.wardrobe.vocabulary import PATTERN_SCALES, PRINT_WORDS

if TYPE_CHECKING:
    from lapel.fidelity import ImageTower, Palette
    from lapel.wardrobe import Garment, Shot

NUISANCES = ("scene", "pose", "light")
CHANGES = (
    *(f"colour {step}" for step in (2, 5, 10, 20)),
    "scale by 1",
    "scale by 2",
    "print removed",
    "colourway",
    "other garment",
)

DOSES = (0.0, 0.25, 0.5, 1.0)

_REPEATING = ("striped", "vertical striped", "polka dot", "checked", "plaid", "zigzag", "floral")


@dataclass(frozen=True)
class Changed:
    """A photo, what is changed in it (of `NUISANCES` or `CHANGES`), and its view."""

    what: str
    view: str
    photo: Photograph


def garments(count: int, first_seed: int) -> list[Garment]:
    """Of every three, one plain with a printed word and two patterned."""
    found: list[Garment] = []
    seed = first_seed
    while len(found) < count:
        garment = sample_garment(seed, "train" if seed % 2 else "held_out")
        seed += 1
        if garment.print in PRINT_WORDS if len(found) % 3 == 0 else garment.pattern in _REPEATING:
            found.append(garment)
    return found


def changed_photos(garment: Garment, seed: int, size: int) -> Iterator[Changed]:
    """A front and a worn photo, each as it is, with another scene, pose and light, and with every change."""
    from lapel.fidelity.gallery import wardrobe_gallery

    gallery = wardrobe_gallery(garment, 3, seed)
    for number, view in enumerate(("front", "worn")):
        shot = sample_shot(seed + 50 + number, garment, view, "grey studio")
        anew = sample_shot(seed + 60 + number, garment, view)
        photo = photograph(garment, shot, size)
        yield Changed("as it is", view, photo)
        for what, other in _nuisances(shot, anew).items():
            yield Changed(what, view, photograph(garment, other, size))
        for step in (2, 5, 10, 20):
            yield Changed(f"colour {step}", view, shift_colour(photo, step, seed))
        for scale in _other_scales(garment):
            steps = abs(list(PATTERN_SCALES).index(scale) - list(PATTERN_SCALES).index(garment.pattern_scale))
            other_scale = dataclasses.replace(garment, pattern_scale=scale)
            yield Changed(f"scale by {steps}", view, photograph(other_scale, shot, size))
        if garment.print != "none":
            yield Changed("print removed", view, photograph(dataclasses.replace(garment, print="none"), shot, size))
        yield Changed("colourway", view, photograph(gallery[1], shot, size))
        yield Changed("other garment", view, photograph(gallery[2], shot, size))


def _nuisances(shot: Shot, anew: Shot) -> dict[str, Shot]:
    pose = {name: getattr(anew, name) for name in ("pose", "person", "fill", "rotation", "offset", "folds")}
    light = {name: getattr(anew, name) for name in ("brightness", "warmth", "light_angle")}
    return {
        "scene": dataclasses.replace(shot, scene=anew.scene, seed=anew.seed),
        "pose": dataclasses.replace(shot, **pose),
        "light": dataclasses.replace(shot, **light),
    }


def _other_scales(garment: Garment) -> list[str]:
    return (
        [scale for scale in PATTERN_SCALES if scale != garment.pattern_scale] if garment.pattern in _REPEATING else []
    )


def shift_colour(photo: Photograph, step: float, seed: int) -> Photograph:
    """The photo with the garment's colours moved by so much delta E 2000 on average, in one direction of a and b."""
    import cv2

    from lapel.fidelity.colour import delta_e, to_lab

    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    direction = np.array([0, np.cos(angle), np.sin(angle)])
    lab, inside = to_lab(photo.image), photo.mask >= 128

    def moved(length: float) -> np.ndarray:
        rgb = cv2.cvtColor((lab + length * direction).astype(np.float32), cv2.COLOR_LAB2RGB)
        return (rgb.clip(0, 1) * 255).round().astype(np.uint8)

    low, high = 0.0, 200.0
    for _ in range(12):
        middle = (low + high) / 2
        reached = delta_e(lab[inside], to_lab(moved(middle)[inside])).mean()
        low, high = (middle, high) if reached < step else (low, middle)
    share = photo.mask[..., None] / 255
    image = (photo.image * (1 - share) + moved(low) * share).round().astype(np.uint8)
    return dataclasses.replace(photo, image=image)


def doses(tower: ImageTower, garment: Garment, seed: int, size: int) -> Iterator[tuple[str, float, float]]:
    """(measure, dose, value) of the measures of sets of images, the wrong share of which is the dose."""
    from PIL import Image

    from lapel.fidelity.drift import background, class_drift, diversity, leak
    from lapel.fidelity.prompt import prompt_margins
    from lapel.fidelity.region import garment_region, without_garment
    from lapel.fidelity.score import prompt_marks

    scenes = ("beach", "snow", "brick wall")
    others = [sample_garment(seed + number) for number in range(8)]
    others = [dataclasses.replace(other, kind=garment.kind) for other in others]
    asked = [sample_shot(seed + 70 + number, garment, "front", scene) for number, scene in enumerate(scenes)]
    studio = [dataclasses.replace(shot, scene="wooden floor") for shot in asked]
    photos = [photograph(garment, shot, size) for shot in studio]
    trained = [background(photo.image, photo.mask >= 128) for photo in photos]
    by_base = [photograph(other, shot, size) for other, shot in zip(others, asked, strict=False)]
    prompts = [phrase(garment.kind, "front", scene) for scene in scenes]

    def margins(images: list[np.ndarray]) -> dict[str, np.ndarray]:
        bare = [without_garment(image, garment_region(image, garment.kind, "front")) for image in images]
        return {"margin": prompt_margins(tower, [Image.fromarray(image) for image in bare], prompts).numpy()}

    base = margins([photo.image for photo in by_base])
    several = [Image.fromarray(photograph(other, asked[0], size).image) for other in others]
    own = [
        Image.fromarray(photograph(garment, sample_shot(seed + 80 + n, garment, "front"), size).image) for n in range(8)
    ]
    for dose in DOSES:
        faded = []
        for shot, photo in zip(asked, photos, strict=True):
            image = photograph(garment, shot, size).image
            faded.append((image * (1 - dose) + photo.image * dose).round().astype(np.uint8))
        kept = prompt_marks(margins(faded), base, len(prompts))
        assert kept is not None
        yield "prompt kept", dose, float(kept.mean())
        leaks = [
            leak(background(image, photo.mask >= 128), background(other.image, other.mask >= 128), trained)
            for image, photo, other in zip(faded, photos, by_base, strict=True)
        ]
        yield "background leak", dose, float(np.mean(leaks))
        wrong = round(dose * len(several))
        yield "class drift", dose, class_drift(tower, several, own[:wrong] + several[wrong:])
        yield "diversity", dose, diversity(tower, several[:1] * wrong + several[wrong:])
    yield from _person_doses(garment, others, seed, size)


def _person_doses(
    garment: Garment, others: Sequence[Garment], seed: int, size: int
) -> Iterator[tuple[str, float, float]]:
    """The garment in a park on others, and on who wore it in the photo for the share that is wrong; the base's images
    have other garments on others again."""
    from lapel.fidelity.drift import leak, person
    from lapel.fidelity.region import garment_region

    def seen(shown: Garment, shot: Shot) -> Palette:
        image = photograph(shown, shot, size).image
        return person(image, garment_region(image, shown.kind, "worn"))

    photo = sample_shot(seed + 90, garment, "worn", "grey studio")
    known = [seen(garment, photo)]
    asked = [sample_shot(seed + 91 + number, garment, "worn", "park") for number in range(len(others))]
    by_base = [
        seen(one, dataclasses.replace(shot, person=shown.person))
        for one, shot, shown in zip(others, asked, asked[1:] + asked[:1], strict=True)
    ]
    apart = [leak(seen(garment, shot), base, known) for shot, base in zip(asked, by_base, strict=True)]
    alike = [dataclasses.replace(shot, person=photo.person) for shot in asked]
    same = [leak(seen(garment, shot), base, known) for shot, base in zip(alike, by_base, strict=True)]
    for dose in DOSES:
        wrong = round(dose * len(asked))
        yield "person leak", dose, float(np.mean(same[:wrong] + apart[wrong:]))

"""How well a garment encoder wears garments that it has never seen, from one photo each and without training.

Every garment is drawn three ways in the same scene: by the base with a caption of all its attributes, by
the encoder from another garment's photo, and by the encoder from its own; the prompts of the encoder leave the looks to
the photo. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from evaluation.results import write, write_table
from lapel.base.find import TINY_FOLDER, encoder_file
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.files import sha256, written_whole
from lapel.generation import PictureSettings, generate_together

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from lapel.fidelity import ImageTower, Palette
    from lapel.generation import GarmentPhotos
    from lapel.wardrobe import Garment


@dataclass
class EncoderSettings:
    """Which encoder is measured, and on how many garments."""

    encoder: Path = Path("tiny")
    """A garment encoder for `tiny`, in IP-Adapter's layout; by default the one that lapel ships."""

    output_dir: Path = Path("runs/encoder")
    """Takes `encoder.json`, `encoder.md`, `encoder.png` and the images, from which a stopped run goes on."""

    garments: int = 100
    """Held-out garments of the wardrobe, one photo each."""

    gallery: int = 50
    """Among so many held-out garments the right one is to be found."""

    weight: float = 1.0
    """Of the encoder."""

    steps: int = 30
    """Denoising steps."""

    guidance: float = 5.0
    """Classifier-free guidance."""

    batch: int = 20
    """Images drawn at once."""

    def __post_init__(self) -> None:
        if not 2 <= self.gallery <= self.garments:
            raise UserError(f"a gallery of {self.gallery} from {self.garments} garments; give 2 to --garments of them")


METHODS = ("(a) base, full caption", "(b) encoder, another garment's photo", "(c) encoder, its photo")
SCENES = ("white studio", "beach", "park", "street", "bedroom")
FIRST_SEED = 9_000_000
SIZE, PHOTO_SIZE = 96, 384
"""Pixels of a side: of the worn photos, `tiny`'s own; of the photo that is shown."""
SHOWN = 12
"""Garments on the contact sheet."""
HEAD = """\
| method | dominant colours, delta E 2000 | worst colour | similarity | right garment of {gallery}, rank 1 | rank 5 |
|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Subject:
    """A held-out garment: the photo that is shown, and a worn one that nobody sees."""

    garment: Garment
    scene: str
    photo: Image.Image
    cutout: Image.Image
    worn: dict[str, Image.Image]
    """By scene, its own and the others' of `SCENES`: a gallery all in one scene tells garments, not scenes, apart."""
    palette: Palette


def measure_encoder(settings: EncoderSettings) -> None:
    """The table of methods: colour, similarity to the garment worn, and retrieval; and a contact sheet."""
    from lapel.fidelity import ImageTower
    from lapel.sheet import contact_sheet

    subjects = [held_out(number) for number in range(settings.garments)]
    tower = ImageTower(TINY_FOLDER)
    drawn = draw_all(settings, subjects)
    rows = [{"method": method, **scores(tower, drawn[method], subjects, settings.gallery)} for method in METHODS]
    rows.append({"method": "real photos", **real_scores(tower, subjects, settings.gallery)})
    shown = [
        [
            subject.photo.resize((SIZE, SIZE)),
            *(drawn[method][number] for method in METHODS),
            subject.worn[subject.scene],
        ]
        for number, subject in enumerate(subjects[:SHOWN])
    ]
    labels = [f"{subject.garment.words()}, {subject.scene}" for subject in subjects[:SHOWN]]
    columns = ["photo", "(a) caption", "(b) another's photo", "(c) its photo", "real, worn"]
    write(settings.output_dir, "encoder", rows, contact_sheet(shown, labels, columns, "Garments never seen"))
    write_table(settings.output_dir, "encoder", [HEAD.format(gallery=settings.gallery), *map(row_text, rows)])


def row_text(row: dict[str, Any]) -> str:
    """A line of the markdown table."""
    figures = f"{row['colour']:.1f} | {row['worst_colour']:.1f} | {row['similarity']:.3f}"
    return f"| {row['method']} | {figures} | {100 * row['rank_1']:.0f} % | {100 * row['rank_5']:.0f} % |"


def held_out(number: int) -> Subject:
    """The garment of that number, shown flat in a studio as a shop would, its mask found as for a user's photo."""
    from PIL import Image

    from lapel.fidelity import dominant_colours
    from lapel.photos.cutout import cut_out
    from lapel.photos.masks import find_mask
    from lapel.photos.read import Picture
    from lapel.wardrobe import photograph, sample_garment, sample_shot

    seed = FIRST_SEED + number
    garment, scene = sample_garment(seed, "held_out"), SCENES[number % len(SCENES)]
    photo = Image.fromarray(photograph(garment, sample_shot(seed, garment, "front", "white studio"), PHOTO_SIZE).image)
    mask = find_mask(Picture(photo, None), None, garment.kind, "front")
    worn = {
        scene: photograph(garment, sample_shot(seed + 500_000 + 1000 * place, garment, "worn", scene), SIZE)
        for place, scene in enumerate(SCENES)
    }
    images = {scene: Image.fromarray(photo.image) for scene, photo in worn.items()}
    palette = dominant_colours([worn[scene].image], [worn[scene].mask])
    return Subject(garment, scene, photo, cut_out(photo, mask.image), images, palette)


def draw_all(settings: EncoderSettings, subjects: Sequence[Subject]) -> dict[str, list[Image.Image]]:
    """The images of every method, those that lie in the folder from an earlier call among them."""
    from lapel.adapters.ip_adapter import read_encoder, wear_encoder
    from lapel.base.image_tower import load_tower
    from lapel.base.load import load_base
    from lapel.generation.shown import see_cutouts
    from lapel.wardrobe import phrase

    file = read_encoder(settings.encoder)
    base = load_base(BaseSettings(base="tiny"))
    tower = load_tower(file.metadata.get("lapel_image_tower"), base)
    photos = [see_cutouts(tower, [subject.cutout], file.form == "plus") for subject in subjects]
    own = [phrase(subject.garment.words(), "worn", subject.scene) for subject in subjects]
    plain = [phrase(subject.garment.kind, "worn", subject.scene) for subject in subjects]
    # Another garment of the same kind, where there is one: words alone then say nothing of the difference.
    others = [photos[other_of(subjects, number)] for number in range(len(subjects))]
    store = Store(settings, sha256(encoder_file(settings.encoder)))
    pipeline = base.pipeline()
    drawn = {METHODS[0]: store.draw(pipeline, METHODS[0], own, None)}
    wear_encoder(pipeline, file, settings.weight)
    drawn[METHODS[1]] = store.draw(pipeline, METHODS[1], plain, others)
    drawn[METHODS[2]] = store.draw(pipeline, METHODS[2], plain, photos)
    return drawn


def other_of(subjects: Sequence[Subject], number: int) -> int:
    """The next garment of the same kind, or simply the next."""
    turn = [(number + step) % len(subjects) for step in range(1, len(subjects))]
    kind = subjects[number].garment.kind
    return next((other for other in turn if subjects[other].garment.kind == kind), turn[0])


class Store:
    """Images on disk by what they were drawn with, a folder for each method."""

    def __init__(self, settings: EncoderSettings, encoder: str) -> None:
        self.settings, self.encoder = settings, encoder

    def draw(
        self, pipeline: Any, method: str, prompts: Sequence[str], photos: Sequence[GarmentPhotos] | None
    ) -> list[Image.Image]:
        """An image for each prompt, seeds from 0, some at a time; those that are there already are not drawn again."""
        from PIL import Image
        from tqdm import tqdm

        settings, folder = self.settings, self.folder(method, photos is not None)
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{number:04d}.png" for number in range(len(prompts))]
        missing = [number for number, file in enumerate(files) if not file.is_file()]
        for start in tqdm(range(0, len(missing), settings.batch), desc=method, unit="batch", mininterval=1):
            numbers = missing[start : start + settings.batch]
            pictures = [
                PictureSettings(
                    prompt=prompts[number],
                    steps=settings.steps,
                    guidance=settings.guidance,
                    seeds=[number],
                    batch=settings.batch,
                )
                for number in numbers
            ]
            shown = [photos[number] for number in numbers] if photos else None
            for number, (image,) in zip(numbers, generate_together(pipeline, pictures, photos=shown), strict=True):
                with written_whole(files[number]) as path:
                    image.save(path)
        return [Image.open(file).convert("RGB") for file in files]

    def folder(self, method: str, by_encoder: bool) -> Path:
        """Named by the method and by all that its images depend on."""
        import hashlib

        settings = self.settings
        parts: list[Any] = [settings.steps, settings.guidance]
        # A different number of garments may pair another garment's photo differently.
        parts += [self.encoder, settings.weight, settings.garments] if by_encoder else []
        name = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]
        return settings.output_dir / "images" / f"{method[1]}-{name}"


def scores(
    tower: ImageTower, images: Sequence[Image.Image], subjects: Sequence[Subject], gallery: int
) -> dict[str, float]:
    """Medians of the colour differences, mean similarity to the garment worn, and how often it is found.

    An image is held against worn photos of `gallery` garments, its own among them, all in the image's scene.
    """
    import numpy as np
    import torch

    from lapel.fidelity import colour_difference, dominant_colours, garment_region

    arrays = [np.asarray(image) for image in images]
    palettes = [
        dominant_colours([array], [garment_region(array, subject.garment.kind, "worn")])
        for array, subject in zip(arrays, subjects, strict=True)
    ]
    colour = [colour_difference(found, subject.palette) for found, subject in zip(palettes, subjects, strict=True)]
    similarities = torch.empty(len(images), len(images))
    for scene in SCENES:
        rows = [number for number, subject in enumerate(subjects) if subject.scene == scene]
        if rows:
            similarities[rows] = tower.similarity(
                [images[row] for row in rows], [subject.worn[scene] for subject in subjects]
            )
    places = [rank(similarities, number, gallery) for number in range(len(images))]
    return {
        "colour": median(difference.mean for difference in colour),
        "worst_colour": median(difference.worst for difference in colour),
        "similarity": mean(similarities.diagonal().tolist()),
        "rank_1": mean(place == 1 for place in places),
        "rank_5": mean(place <= 5 for place in places),
    }


def rank(similarities: torch.Tensor, number: int, gallery: int) -> int:
    """The place of the right garment, 1 the best, among it and the next garments, `gallery` in all."""
    row = similarities[number]
    others = [(number + step) % len(row) for step in range(1, gallery)]
    return 1 + int((row[others] > row[number]).sum())


def real_scores(tower: ImageTower, subjects: Sequence[Subject], gallery: int) -> dict[str, float]:
    """What a perfect encoder would get: other worn photos of the same garments, in the same scenes."""
    from PIL import Image

    from lapel.wardrobe import photograph, sample_shot

    images = []
    for number, subject in enumerate(subjects):
        shot = sample_shot(FIRST_SEED + 700_000 + number, subject.garment, "worn", subject.scene)
        images.append(Image.fromarray(photograph(subject.garment, shot, SIZE).image))
    return scores(tower, images, subjects, gallery)

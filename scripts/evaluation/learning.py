"""Garments of the wardrobe, by the base with the trigger, the base with a full caption, and the adapter."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from evaluation.results import write, write_table
from lapel.adapters.card import KOHYA_SUFFIX, is_checkpoint, weight_of, word_file
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.fidelity.alternatives import Subject, read_right
from lapel.generation import PictureSettings, generate
from lapel.report.run import read_run

if TYPE_CHECKING:
    from PIL import Image

    from lapel.base.base import Base
    from lapel.fidelity import ImageTower
    from lapel.wardrobe import Garment


@dataclass
class LearningSettings:
    """Which adapters are measured against which garments, and on how many images."""

    run: list[Path]
    """Run folders of adapters that learned wardrobe garments."""

    garment_dir: list[Path]
    """The garment folder of each run, with the `garment.json` that the wardrobe wrote."""

    output_dir: Path = Path("runs/learning")
    """Takes `learning.json`, `learning.md` and `learning.png`."""

    tower: str = "tiny"
    """The towers that measure, as a training's `--tower` names them."""

    scenes: tuple[str, ...] = ("beach", "snow", "brick wall")
    """Scenes that no photo of the garments shows."""

    images: int = 8
    """Images for each garment, scene and method, with seeds from 0."""

    steps: int = 30
    """Denoising steps."""

    guidance: float = 4.0
    """Classifier-free guidance."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            UserError: runs and garment folders that do not pair.
        """
        if len(self.run) != len(self.garment_dir):
            raise UserError(f"{len(self.run)} runs for {len(self.garment_dir)} garment folders; give one for each")
        for folder in self.garment_dir:
            if not (folder / "garment.json").is_file():
                raise UserError(f"{folder}: no garment.json; only garments of the wardrobe can be photographed anew")

    def picture(self, prompt: str) -> PictureSettings:
        """The settings for the images of one prompt, the same seeds for every one."""
        return PictureSettings(
            prompt=prompt, steps=self.steps, guidance=self.guidance, images=self.images, batch=self.images
        )


def measure_learning(settings: LearningSettings) -> None:
    """The table of methods: colour, similarity to held-out photos, and scenes read right."""
    from lapel.fidelity import ImageTower
    from lapel.sheet import contact_sheet

    tower = ImageTower(settings.tower, wants_text=True)
    rows, pictures = [], []
    for run, folder in zip(settings.run, settings.garment_dir, strict=True):
        for row, images in measure_garment(settings, tower, run, folder):
            rows.append(row)
            pictures.append([image for of_scene in images for image in of_scene[:SHOWN]])
            print(row_text(row), file=sys.stderr, flush=True)
    columns = [scene for scene in settings.scenes for _ in range(min(SHOWN, settings.images))]
    labels = [f"{row['garment']}\n{row['method']}" for row in rows]
    write(settings.output_dir, "learning", rows, contact_sheet(pictures, labels, columns))
    write_table(settings.output_dir, "learning", [HEAD, *map(row_text, rows)])


def measure_garment(
    settings: LearningSettings, tower: ImageTower, run: Path, folder: Path
) -> Iterator[tuple[dict[str, Any], list[list[Image.Image]]]]:
    """Scores and images (a list for each scene) of every method, and of other real photos: what a perfect one gets."""
    from lapel.wardrobe.folders import read_identity

    card = card_of(run)
    garment, words = read_identity(folder), f"{card['trigger']} {card['class_word']}"
    photos = Photos(garment, settings, series=0)
    methods: list[tuple[str, str, Path | None]] = [
        ("(a) base, trigger", words, None),
        ("(b) base, full caption", garment.words(), None),
        ("(c) adapter", words, run),
    ]
    for method, name, learned in methods:
        drawn = draw_scenes(settings, load_pipeline(card, learned), name)
        yield {"garment": card["name"], "method": method, **photos.scores(tower, drawn)}, drawn
    real = Photos(garment, settings, series=1).images
    yield {"garment": card["name"], "method": "other real photos", **photos.scores(tower, real)}, real


SHOWN = 3
"""Images of each scene on the contact sheet."""

SIZE = 96
"""Pixels of a side of the held-out photos: `tiny`'s own, and its image tower's."""

HEAD = """\
| garment | method | dominant colours, delta E 2000 | worst colour | similarity | scene read right |
|---|---|---|---|---|---|"""


def row_text(row: dict[str, Any]) -> str:
    """A line of the markdown table."""
    shares = f"{row['colour']:.1f} | {row['worst_colour']:.1f} | {row['similarity']:.3f} | {100 * row['scene']:.0f} %"
    return f"| {row['garment']} | {row['method']} | {shares} |"


def card_of(run: Path) -> dict[str, Any]:
    """The card of a finished run.

    Raises:
        UserError: the folder holds none.
    """
    card = read_run(run).card
    if not card:
        raise UserError(f"{run}: not finished; there is no adapter to measure")
    return card


def load_pipeline(card: Mapping[str, Any], run: Path | None) -> Any:
    """The stock pipeline of `load_worn`."""
    return load_worn(card, run)[1]


def load_worn(card: Mapping[str, Any], run: Path | None) -> tuple[Base, Any]:
    """A card's base, or, of a run, what it made: a checkpoint, or the base that wears the adapter at the weight that
    the card recommends; and its stock pipeline."""
    from lapel.adapters.wear import wear
    from lapel.base.load import load_base
    from lapel.training.launch import device

    made = None if run is None else run / f"{card['name']}{KOHYA_SUFFIX}"
    word = None if run is None else word_file(card, run)
    if made is not None and is_checkpoint(card):
        base = load_base(BaseSettings(base=str(made), embedding=[word] if word else []), device())
        return base, base.pipeline()
    base = load_base(BaseSettings(base=card["base"], embedding=[word] if word else []), device())
    pipeline = base.pipeline()
    if made is not None:
        wear(pipeline, [(made, weight_of(card))])
    return base, pipeline


def draw_scenes(settings: LearningSettings, pipeline: Any, name: str) -> list[list[Image.Image]]:
    """Images of what goes by that name in a prompt, front views, a list for each scene."""
    from lapel.wardrobe import phrase

    return [generate(pipeline, settings.picture(phrase(name, "front", scene))) for scene in settings.scenes]


class Photos:
    """Held-out photos of a garment: front views in the scenes asked for, with exact masks, drawn anew.

    `images` has `settings.images` PIL images for each scene; another `series` gives other photos.
    """

    def __init__(self, garment: Garment, settings: LearningSettings, series: int) -> None:
        from PIL import Image

        from lapel.fidelity import dominant_colours
        from lapel.wardrobe import photograph, sample_shot

        self.kind = garment.kind
        self.images: list[list[Image.Image]] = []
        shown = []
        self.subjects = [[Subject(garment, "front", scene)] * settings.images for scene in settings.scenes]
        for number, scene in enumerate(settings.scenes):
            seeds = [900_000 + 10_000 * series + 100 * number + image for image in range(settings.images)]
            photos = [photograph(garment, sample_shot(seed, garment, "front", scene), SIZE) for seed in seeds]
            self.images.append([Image.fromarray(photo.image) for photo in photos])
            shown += photos
        self.palette = dominant_colours([photo.image for photo in shown], [photo.mask for photo in shown])

    def scores(self, tower: ImageTower, drawn: Sequence[Sequence[Image.Image]]) -> dict[str, float]:
        """How near images, a list for each scene, come to these photos.

        `colour` is the delta E 2000 between the dominant colours of an image's garment region and of the photos,
        `worst_colour` that of the colour which is furthest off, each the median over images; `similarity` is the mean
        cosine to the photos of the same scene, `scene` the share of images whose scene is read right.
        """
        import numpy as np

        from lapel.fidelity import colour_difference, dominant_colours, garment_region

        arrays = [np.asarray(image) for images in drawn for image in images]
        palettes = [dominant_colours([image], [garment_region(image, self.kind, "front")]) for image in arrays]
        colour = [colour_difference(found, self.palette) for found in palettes]
        pairs = zip(drawn, self.images, self.subjects, strict=True)
        similarities, right = [], []
        for images, photos, subjects in pairs:
            similarities.append(float(tower.similarity(images, photos).mean()))
            right += read_right(tower, images, subjects, "scene")
        return {
            "colour": median(difference.mean for difference in colour),
            "worst_colour": median(difference.worst for difference in colour),
            "similarity": mean(similarities),
            "scene": mean(right),
        }

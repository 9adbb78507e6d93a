"""Clothes changed on people of the wardrobe, where the right picture is known pixel for pixel.

Each person wears a garment whose sleeves are of another length than those of the new one, which is a combination that
`tiny` never saw, shown flat. The mask is made from pose and parsing map, as for a user's photo; what comes out is held
against the same person in the same pose who really wears the new garment.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from evaluation.results import write, write_table
from lapel.base.settings import BaseSettings
from lapel.generation import Request

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from lapel.generation import GarmentPhotos
    from lapel.photos.people.change import Change
    from lapel.photos.people.pose import Pose
    from lapel.wardrobe import Garment, Photograph


@dataclass
class TryOnSettings:
    """Which encoder dresses how many people."""

    output_dir: Path = Path("runs/try-on")
    """Takes `try_on.json`, `try_on.md` and `try_on.png`."""

    people: int = 50
    """Each with a garment of their own."""

    encoder: Path = Path("tiny")
    """A garment encoder for `tiny`."""

    controlnet: str = "tiny"
    """A ControlNet for skeletons and parsing maps; methods that use it are left out where it is empty."""

    size: int = 256
    """Side of the photos, in pixels."""

    steps: int = 30
    """Denoising steps."""

    guidance: float = 4.0
    """Classifier-free guidance."""


FIRST_SEED = 7_000_000
SHOWN = 10
"""People on the contact sheet."""
FOREARM = (1.25, 1.75)
"""The part of the arm (1 is the elbow, 2 the wrist) that tells a long sleeve from a short one."""
HEAD = """\
| method | masked SSIM | dominant colours, delta E 2000 | right sleeves | greatest difference outside | face |
|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Subject:
    """A person before the change, and after it as it should be."""

    garment: Garment
    scene: str
    before: Photograph
    truth: Photograph
    flat: Image.Image

    @property
    def pose(self) -> Pose:
        from lapel.photos.people.pose import Pose

        height, width = self.before.mask.shape
        return Pose(self.before.keypoints, (width, height))


def subject(number: int, size: int) -> Subject:
    """The person of that number: a pure function of it."""
    from PIL import Image

    from lapel.wardrobe import photograph, sample_garment, sample_shot
    from lapel.wardrobe.vocabulary import UPPER

    seed = FIRST_SEED + 1000 * number
    new = sample_garment(seed, "held_out")
    while new.kind not in UPPER:
        new = sample_garment(new.seed + 1, "held_out")
    old = sample_garment(seed + 500, "train")
    while old.kind not in UPPER or old.sleeve == new.sleeve or set(old.colours) & set(new.colours):
        old = sample_garment(old.seed + 1, "train")
    shot = sample_shot(seed, new, "worn")
    wider = new if new.sleeve == "long" or old.sleeve != "long" else old
    before, truth = (photograph(one, shot, size, framed_for=wider) for one in (old, new))
    flat = photograph(new, sample_shot(seed + 1, new, "front", "white studio"), 384)
    return Subject(new, shot.scene, before, truth, Image.fromarray(flat.image))


def measure_try_on(settings: TryOnSettings) -> None:
    """The table of methods, and a contact sheet."""
    from lapel.sheet import contact_sheet

    subjects = [subject(number, settings.size) for number in range(settings.people)]
    rows, drawn = [], {}
    for method, images, masks in by_methods(settings, subjects):
        rows.append({"method": method, **scores(subjects, images, masks)})
        drawn[method] = images
        print(row_text(rows[-1]), file=sys.stderr, flush=True)
    pictures = [
        [one.flat.resize((settings.size, settings.size)), *_pair(one), *(drawn[method][number] for method in drawn)]
        for number, one in enumerate(subjects[:SHOWN])
    ]
    labels = [f"{one.garment.words()}, {one.scene}" for one in subjects[:SHOWN]]
    columns = ["garment", "before", "as it should be", *drawn]
    write(settings.output_dir, "try_on", rows, contact_sheet(pictures, labels, columns))
    write_table(settings.output_dir, "try_on", [HEAD, *map(row_text, rows)])


def row_text(row: dict[str, Any]) -> str:
    """A line of the markdown table."""
    figures = f"{row['ssim']:.3f} | {row['colour']:.1f} | {100 * row['sleeves']:.0f} %"
    return f"| {row['method']} | {figures} | {row['outside']} | {row['face']} |"


def _pair(one: Subject) -> list[Image.Image]:
    from PIL import Image

    return [Image.fromarray(one.before.image), Image.fromarray(one.truth.image)]


Masks = list["npt.NDArray[np.bool_]"]


def by_methods(settings: TryOnSettings, subjects: Sequence[Subject]) -> Iterator[tuple[str, list[Image.Image], Masks]]:
    """For each method its name, its images, and where it was allowed to draw."""
    from PIL import Image

    from lapel.adapters.ip_adapter import read_encoder, wear_encoder
    from lapel.base.load import load_base
    from lapel.generation.control import TINY_CONTROL

    changes = [_change(one) for one in subjects]
    base = load_base(BaseSettings(base="tiny"))
    pipeline = base.pipeline("inpaint")
    words = [one.garment.words() for one in subjects]
    yield "(a) base, full caption", *_dressed(settings, base, pipeline, subjects, changes, words, None)
    file = read_encoder(settings.encoder)
    photos = _seen(file, base, subjects)
    wear_encoder(pipeline, file, 1.0)
    kinds = [one.garment.kind for one in subjects]
    yield "(b) encoder", *_dressed(settings, base, pipeline, subjects, changes, kinds, photos)
    if settings.controlnet and (settings.controlnet != "tiny" or TINY_CONTROL.is_dir()):
        yield (
            "(c) encoder, with the skeleton",
            *_dressed(settings, base, pipeline, subjects, changes, kinds, photos, settings.controlnet),
        )
    real = [Image.fromarray(one.truth.image) for one in subjects]
    yield "as it should be", real, [_changed(one) for one in subjects]


def _seen(file: Any, base: Any, subjects: Sequence[Subject]) -> list[GarmentPhotos]:
    """What the encoder is shown of each garment: cut out as for a user's photo."""
    from lapel.base.image_tower import load_tower
    from lapel.generation.shown import see_cutouts
    from lapel.photos.cutout import cut_out
    from lapel.photos.masks import find_mask
    from lapel.photos.read import Picture

    tower = load_tower(file.metadata.get("lapel_image_tower"), base)
    cutouts = [
        cut_out(one.flat, find_mask(Picture(one.flat, None), None, one.garment.kind, "front").image) for one in subjects
    ]
    return [see_cutouts(tower, [cutout], file.form == "plus") for cutout in cutouts]


def _change(one: Subject) -> Change:
    """Where the clothes change, by the garment's words, the pose and the parsing map."""
    from PIL import Image

    from lapel.photos.people.change import Wearer, change_of_clothes
    from lapel.photos.people.shape import shape_of

    sleeves = {"none": "sleeveless", "short": "short sleeve", "long": "long sleeve"}[one.garment.sleeve]
    wearer = Wearer(Image.fromarray(one.before.image), one.pose, one.before.parsing)
    return change_of_clothes(wearer, shape_of(one.garment.kind, {"sleeves": sleeves}))


def _dressed(
    settings: TryOnSettings,
    base: Any,
    pipeline: Any,
    subjects: Sequence[Subject],
    changes: Sequence[Change],
    words: Sequence[str],
    photos: Sequence[GarmentPhotos] | None,
    controlnet: str = "",
) -> tuple[list[Image.Image], Masks]:
    from PIL import Image
    from tqdm import tqdm

    from lapel.generation.control import Control, load_controlnet
    from lapel.generation.inpaint import InpaintSettings, inpaint
    from lapel.generation.patch import soften
    from lapel.photos.people.pose import draw_pose
    from lapel.wardrobe import phrase

    how = InpaintSettings(mask_feather=4, padding=24)
    network = load_controlnet(controlnet, base) if controlnet else None
    images, drawn = [], []
    for number, one in enumerate(tqdm(subjects, desc="dressing", unit="person", mininterval=1)):
        request = Request(
            prompt=phrase(words[number], "worn", one.scene),
            steps=settings.steps,
            guidance=settings.guidance,
            seeds=[number],
        )
        photo, shown = Image.fromarray(one.before.image), photos[number] if photos else None
        mask, kept = changes[number].mask, changes[number].kept
        controls = [Control(network, draw_pose(one.pose))] if network is not None else []
        images += inpaint(base, pipeline, request, photo, mask, how, None, shown, controls, kept)
        drawn.append(soften(mask, how.mask_grow, how.mask_feather, kept) > 0)
    return images, drawn


def _changed(one: Subject) -> npt.NDArray[np.bool_]:
    import numpy as np

    return np.asarray((one.before.image != one.truth.image).any(axis=2))


def scores(subjects: Sequence[Subject], images: Sequence[Image.Image], masks: Masks) -> dict[str, float]:
    """Means (of colour the median) over people.

    `ssim` is the structural similarity to the truth within the new garment, `colour` the delta E 2000 of its dominant
    colours there, `sleeves` the share of people whose forearms are covered or bare as they should be, `outside` and
    `face` the greatest differences from the photo outside of what was drawn, and in the face.
    """
    import numpy as np

    from lapel.fidelity import colour_difference, dominant_colours
    from lapel.fidelity.likeness import difference_outside, masked_ssim
    from lapel.photos.people.shape import body_of, head
    from lapel.wardrobe import PARSING

    ssim, colour, sleeves, outside, face = [], [], [], [], []
    for one, image, mask in zip(subjects, images, masks, strict=True):
        pixels, inside = np.asarray(image), one.truth.mask >= 128
        ssim.append(masked_ssim(pixels, one.truth.image, inside))
        real = dominant_colours([one.truth.image], [inside])
        colour.append(colour_difference(dominant_colours([pixels], [inside]), real).mean)
        sleeves.append(sleeves_right(one, pixels))
        outside.append(difference_outside(pixels, one.before.image, mask))
        body = body_of(one.pose)
        assert body is not None
        of_face = head(one.pose, body) & (one.before.parsing == PARSING["skin"])
        face.append(int(np.abs(pixels.astype(int) - one.before.image)[of_face].max(initial=0)))
    return {
        "ssim": mean(ssim),
        "colour": median(colour),
        "sleeves": mean(sleeves),
        "outside": max(outside),
        "face": max(face),
    }


def sleeves_right(one: Subject, image: npt.NDArray[np.uint8]) -> float:
    """The share of the forearms that are covered, or bare, as in the truth: nearer to skin or cloth in colour."""
    import cv2
    import numpy as np

    from lapel.fidelity.colour import delta_e, dominant_colours, to_lab
    from lapel.wardrobe import PARSING

    skin = np.median(to_lab(one.truth.image)[one.truth.parsing == PARSING["skin"]], axis=0)
    cloth = dominant_colours([one.truth.image], [one.truth.mask >= 128]).lab
    smooth = to_lab(cv2.medianBlur(image, 5))
    covered = one.garment.sleeve == "long"
    votes = []
    for side in ("right", "left"):
        elbow, wrist = one.pose.get(f"{side} elbow"), one.pose.get(f"{side} wrist")
        if elbow is None or wrist is None:
            continue
        for share in np.linspace(FOREARM[0] - 1, FOREARM[1] - 1, 9):
            x, y = (round(a + (b - a) * share) for a, b in zip(elbow, wrist, strict=True))
            if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
                to_cloth = float(delta_e(smooth[y, x], cloth).min())
                votes.append((to_cloth < float(delta_e(smooth[y, x], skin))) == covered)
    return float(np.mean(votes) > 0.5) if votes else 1.0

"""How closely images keep to the skeleton and the parsing map that they were asked for, with a ControlNet and without.

People of the wardrobe, in garments of combinations that `tiny` never saw, are described in words; their skeleton and
parsing map are shown, or not. A small network that learned on other drawn people reads joints and classes off what is
drawn; how well it reads the drawings themselves stands in the table too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.results import write, write_table
from lapel.base.settings import BaseSettings
from lapel.generation import PictureSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from lapel.wardrobe import Photograph


@dataclass
class ControlMeasureSettings:
    """How many people are drawn, and who reads them."""

    output_dir: Path = Path("runs/control")
    """Takes `control.json`, `control.md`, `control.png`, and the reader, which is trained once."""

    people: int = 50
    """Each drawn once by every method."""

    controlnet: str = "tiny"
    """A ControlNet for skeletons and parsing maps."""

    steps: int = 20
    """Denoising steps."""

    guidance: float = 4.0
    """Classifier-free guidance."""

    reader_photos: int = 2000
    """Drawn people that the reader learns from."""

    reader_steps: int = 1200
    """Of 16 pictures each: about five minutes of one core."""


FIRST_SEED = 9_500_000
SHOWN = 8
"""People on the sheet."""
NEAR = 0.1
"""Of the person's height: how far a limb's ends may be from where they were asked for."""
_TORSO = 0.31
"""From the neck to the hips, in heights of a person, as the wardrobe draws them."""
LIMBS = {
    "arms": ((2, 3), (3, 4), (5, 6), (6, 7)),
    "legs": ((8, 9), (9, 10), (11, 12), (12, 13)),
    "torso and head": ((1, 2), (1, 5), (1, 8), (1, 11), (1, 0)),
}
"""Pairs of `KEYPOINTS`."""
CLASSES = ("background", "skin", "hair", "upper", "lower", "dress", "shoes")
"""Of the parsing map; prints are too few to count."""
HEAD = f"""\
| shown | limbs within a tenth | {" | ".join(LIMBS)} | mean overlap | {" | ".join(CLASSES)} |
|---|{"---|" * (len(LIMBS) + len(CLASSES) + 2)}"""


def measure_control(settings: ControlMeasureSettings) -> None:
    """The table, and a sheet of what was drawn and how it was read."""
    import numpy as np
    import torch

    from evaluation.person_reader import as_drawn, people, through_vae, train_reader
    from lapel.base.load import load_base

    base = load_base(BaseSettings(base="tiny"))
    reader = train_reader(base, settings.output_dir, settings.reader_photos, settings.reader_steps)
    asked = people(FIRST_SEED, settings.people, "held_out")
    truth = as_drawn(asked)
    pictures: dict[str, Any] = {
        "(the drawings themselves)": truth.images,
        "(through the VAE)": through_vae(base, truth.images, 0.0),
    }
    for name, images in by_methods(settings, base, asked):
        arrays = np.stack([np.asarray(image) for image in images])
        pictures[name] = torch.from_numpy(arrays).permute(0, 3, 1, 2).contiguous()
    rows, read = [], {}
    for name, images in pictures.items():
        read[name] = reader.read(images)
        rows.append({"shown": name, **scores(asked, *read[name])})
        print(row_text(rows[-1]), file=sys.stderr)
    write(settings.output_dir, "control", rows, _sheet(asked, pictures, read))
    write_table(settings.output_dir, "control", [HEAD, *map(row_text, rows)])


def row_text(row: dict[str, Any]) -> str:
    """A line of the markdown table."""
    limbs = [row["limbs"], *(row[name] for name in LIMBS)]
    overlaps = [row["overlap"], *(row[name] for name in CLASSES)]
    figures = [f"{100 * share:.0f} %" for share in limbs] + [f"{share:.2f}" for share in overlaps]
    return f"| {row['shown']} | {' | '.join(figures)} |"


def by_methods(
    settings: ControlMeasureSettings, base: Any, asked: Sequence[Photograph]
) -> Iterator[tuple[str, list[Image.Image]]]:
    """For each way of asking, its name and an image of each person."""
    from tqdm import tqdm

    from lapel.generation import generate
    from lapel.generation.control import Control, guided, load_controlnet
    from lapel.generation.parsed import Parsed
    from lapel.photos.people.pose import Pose, draw_pose

    pipeline, network = base.pipeline(), load_controlnet(settings.controlnet, base)
    poses = [Pose(photo.keypoints, photo.parsing.shape) for photo in asked]
    maps = [Parsed(photo.parsing, "") for photo in asked]
    methods: dict[str, list[Image.Image]] = {
        "nothing": [],
        "skeleton": [draw_pose(pose) for pose in poses],
        "parsing map": [one.shown() for one in maps],
        "skeleton on the map": [one.shown(pose) for one, pose in zip(maps, poses, strict=True)],
    }
    for name, shown in methods.items():
        images = []
        for number, photo in enumerate(tqdm(asked, name, mininterval=1)):
            picture = PictureSettings(photo.caption, "", settings.steps, settings.guidance, seeds=[number])
            controls = [Control(network, shown[number])] if shown else []
            with guided(pipeline, controls, (base.resolution, base.resolution)):
                images += generate(pipeline, picture)
        yield name, images


def scores(
    asked: Sequence[Photograph], classes: npt.NDArray[np.uint8], joints: npt.NDArray[np.float32]
) -> dict[str, float]:
    """Shares of limbs whose ends both lie within `NEAR` of where they were asked for, of those in the picture; and of
    each class the overlap (intersection over union) over all pictures."""
    import numpy as np

    from lapel.wardrobe import PARSING

    right: dict[str, list[bool]] = {name: [] for name in LIMBS}
    for photo, read in zip(asked, joints, strict=True):
        points, seen = photo.keypoints[:, :2], _seen(photo)
        height = float(np.linalg.norm(points[[8, 11]].mean(axis=0) - points[1])) / _TORSO
        near = np.linalg.norm(points - read, axis=1) <= NEAR * height
        for name, limbs in LIMBS.items():
            right[name] += [bool(near[a] and near[b]) for a, b in limbs if seen[a] and seen[b]]
    maps = np.stack([photo.parsing for photo in asked])
    overlaps = {}
    for name in CLASSES:
        wanted, found = maps == PARSING[name], classes == PARSING[name]
        overlaps[name] = float((wanted & found).sum() / max((wanted | found).sum(), 1))
    every = [one for of_part in right.values() for one in of_part]
    shares = {name: float(np.mean(of_part)) if of_part else 1.0 for name, of_part in right.items()}
    return {"limbs": float(np.mean(every)), **shares, "overlap": float(np.mean(list(overlaps.values()))), **overlaps}


def _seen(photo: Photograph) -> npt.NDArray[np.bool_]:
    """(18,) which joints were asked for within the picture."""
    points = photo.keypoints[:, :2]
    inside: npt.NDArray[np.bool_] = (points >= 0) & (points < len(photo.parsing))
    return inside[:, 0] & inside[:, 1]


def _sheet(asked: Sequence[Photograph], pictures: dict[str, Any], read: dict[str, Any]) -> Image.Image:
    """A row for each person: every picture, and how it was read, the joints on the parsing map."""
    import numpy as np
    from PIL import Image

    from lapel.generation.parsed import Parsed
    from lapel.photos.people.pose import Pose
    from lapel.sheet import contact_sheet

    rows = []
    for number, photo in enumerate(asked[:SHOWN]):
        row, known = [], _seen(photo)[:, None].astype(np.float32)
        for name, images in pictures.items():
            row.append(Image.fromarray(images[number].permute(1, 2, 0).numpy()))
            classes, joints = (part[number] for part in read[name])
            pose = Pose(np.concatenate([joints * known, known], axis=1), classes.shape)
            row.append(Parsed(classes, "").shown(pose))
        rows.append(row)
    columns = [text for name in pictures for text in (name, "as read")]
    return contact_sheet(rows, [photo.caption for photo in asked[:SHOWN]], columns)

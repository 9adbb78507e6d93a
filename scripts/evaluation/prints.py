"""Printed words on clothes that are changed: how much of them OCR reads, as they are drawn and after `--print`.

People of the wardrobe are dressed in garments with a word on them, which is then put back by the garment's flat photo,
as `try_on.py --print auto` does it where the word is lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, NamedTuple

from evaluation.dressers import METHODS, Dresser, DresserSettings, require_methods
from evaluation.results import write, write_table
from evaluation.wearers import garment, sheet, subject, worn
from lapel.files import written_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from evaluation.wearers import Masks, Subject
    from lapel.fidelity.lettering import TextReader
    from lapel.wardrobe import Garment


@dataclass
class PrintSettings(DresserSettings):
    """What dresses how many people."""

    output_dir: Path = Path("runs/prints")
    """Takes `prints.json`, `prints.md` and `prints.png`, and the garments' photos."""

    method: str = "inpainting-encoder-map"
    """Which way of dressing, of those of `try_on`."""

    people: int = 20
    """In poses and places of their own."""

    size: int = 384
    """Side of the photos, in pixels."""

    def __post_init__(self) -> None:
        """Refuse what nobody knows.

        Raises:
            UserError: a method that is not known.
        """
        require_methods("--method", [self.method])


HEAD = """\
| images | characters read wrong | words read rightly | away from their place | size | difference outside |
|---|---|---|---|---|---|"""


def measure_prints(settings: PrintSettings) -> None:
    """The table of prints before and after, and a contact sheet."""
    from lapel.fidelity.lettering import TextReader

    reader = TextReader()  # refuses at once where the extra is missing
    printed = [garment(number, printed=True) for number in range(settings.garments)]
    subjects = [
        subject(printed[number % settings.garments], number, settings.size) for number in range(settings.people)
    ]
    dresser = Dresser(subjects, settings)
    images, masks = dresser.dress(METHODS[settings.method])
    photos = write_photos(subjects, settings.output_dir)
    drawn = {"as they are drawn": images, "with `--print auto`": put_on(dresser, images, photos)}
    truth = [read(one, one.pictures[1], reader) for one in subjects]
    rows = []
    for name, each in (*drawn.items(), ("as they should be", [one.pictures[1] for one in subjects])):
        found = [read(one, image, reader) for one, image in zip(subjects, each, strict=True)]
        allowed = masks if name in drawn else [one.changed for one in subjects]
        rows.append({"images": name, **scores(subjects, found, truth, each, allowed)})
    write(settings.output_dir, "prints", rows, sheet(subjects, drawn))
    write_table(settings.output_dir, "prints", [HEAD, *map(row_text, rows)])


def write_photos(subjects: Sequence[Subject], folder: Path) -> dict[Garment, Path]:
    """A flat photo of each garment, as a file: what `try_on.py` takes prints from."""
    paths: dict[Garment, Path] = {}
    for one in subjects:
        if one.garment not in paths:
            paths[one.garment] = folder / f"garment-{len(paths) + 1}.png"
            with written_whole(paths[one.garment]) as unfinished:
                one.flat.save(unfinished, format="PNG")
    return paths


def put_on(dresser: Dresser, images: Sequence[Image.Image], photos: dict[Garment, Path]) -> list[Image.Image]:
    """The images with their prints, as `try_on.py --print auto` puts them on."""
    from lapel.fidelity.retouch import Retouch
    from lapel.generation.retouching import RetouchSettings

    made = []
    for one, image, change in zip(dresser.subjects, images, dresser.changes[True], strict=True):
        told = worn(one.garment)
        retouch = Retouch(RetouchSettings(print="auto"), [photos[one.garment]], told.class_word, one.pose, told.shape)
        made.append(retouch(image, change.mask)[0])
    return made


class Read(NamedTuple):
    """What is read on a garment, and where: the lines' middle (x, y) and their width, in shares of the picture."""

    words: str
    middle: tuple[float, float] = (0.0, 0.0)
    width: float = 0.0
    """0 where nothing is read."""


def read(one: Subject, image: Image.Image, reader: TextReader) -> Read:
    """The words in an image where the new garment should be."""
    import numpy as np

    lines = reader.lines(np.asarray(image), one.truth.mask >= 128)
    if not lines:
        return Read("")
    corners = np.stack([line.corners for line in lines]) / image.width
    x, y = corners.mean(axis=(0, 1))
    widths = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=-1)
    return Read(" ".join(line.words for line in lines), (float(x), float(y)), float(widths.max()))


def scores(
    subjects: Sequence[Subject],
    found: Sequence[Read],
    truth: Sequence[Read],
    images: Sequence[Image.Image],
    masks: Masks,
) -> dict[str, float | None]:
    """Means over people; of what is read, as `read` has it in the images and in the truth.

    `wrong` is the share of the words' characters that are read wrong, `right` the share of words without a fault;
    `away` how far a word is from its place, in shares of the picture, and `size` its width beside the true one, where
    any is read; `outside` the greatest difference from the photo outside of the masks.
    """
    import numpy as np

    from lapel.fidelity.lettering import character_error_rate
    from lapel.fidelity.likeness import difference_outside

    wrong = [character_error_rate(seen.words, one.garment.print) for one, seen in zip(subjects, found, strict=True)]
    both = [(s, t) for s, t in zip(found, truth, strict=True) if s.width and t.width]
    outside = [
        difference_outside(np.asarray(image), one.before.image, mask)
        for one, image, mask in zip(subjects, images, masks, strict=True)
    ]
    return {
        "wrong": mean(wrong),
        "right": mean(share == 0 for share in wrong),
        "away": mean(math.dist(s.middle, t.middle) for s, t in both) if both else None,
        "size": mean(s.width / t.width for s, t in both) if both else None,
        "outside": max(outside),
    }


def row_text(row: dict[str, Any]) -> str:
    """A line of the markdown table."""
    place = f"{100 * row['away']:.1f} % | {row['size']:.2f}" if row["away"] is not None else "- | -"
    return f"| {row['images']} | {100 * row['wrong']:.0f} % | {100 * row['right']:.0f} % | {place} | {row['outside']} |"

"""Masks that the intake finds by itself, against true ones: cut-outs, colourway pairs, and photos of the wardrobe."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from evaluation.results import write

if TYPE_CHECKING:
    from PIL import Image


@dataclass
class MaskSettings:
    """What masks are found for, and held against."""

    photos_dir: Path = Path("../shared/photos")
    """Holds `saleor` and `solidus` (photos with transparency), `colourway-pairs`, and `dreambooth/fancy_boot` for
    textures. Without them only the wardrobe is measured."""

    output_dir: Path = Path("runs/masks")
    """Takes `masks.json` and `masks.png`, a sheet of the worst ten of every table."""

    wardrobe: int = 500
    """Photos of the wardrobe, in every view and scene."""

    size: int = 512
    """Side of those photos, in pixels."""

    first_seed: int = 2_000_000
    """Of the wardrobe's garments and shots."""


SHOWN = 10
"""Of the worst on the sheet."""

CELL = 200
"""Pixels of a picture's longer side on the sheet."""

_CUT_OUT_SIDE = 1024
"""Cut-outs are brought down to this many pixels, about what shops show."""

# Corners of the photos in dreambooth/fancy_boot that show no boot: left, top, right, bottom.
_TEXTURES = {
    "grass": ("03.jpg", (1300, 0, 2048, 2048)),
    "asphalt": ("02.jpg", (1350, 0, 2048, 1400)),
    "bricks": ("00.jpg", (0, 0, 290, 480)),
}

_PAIRS = {"mh11-orange__white": "sweatshirt", "msh07-black__blue": "shorts", "wh08-white__purple": "jacket"}


@dataclass(frozen=True)
class Case:
    """A photo whose mask is known; `truth` has mode L and the photo's size."""

    table: str
    group: str
    name: str
    photo: Image.Image
    truth: Image.Image
    class_word: str
    view: str


@dataclass(frozen=True)
class Score:
    """How near the mask of a case came to the truth: intersection over union at one half."""

    case: Case
    overlap: float
    source: str
    trust: float
    picture: Image.Image


def measure_masks(settings: MaskSettings) -> None:
    """Three tables, how far the trust is to be trusted, and the worst ten of each table."""
    from tqdm import tqdm

    from lapel.sheet import contact_sheet

    scores: dict[str, list[Score]] = defaultdict(list)
    for case in tqdm(_cases(settings), desc="masks", unit="photo", mininterval=1):
        scores[case.table].append(measure(case))
    rows, labels = [], []
    for table, of_table in scores.items():
        print(f"\n{table}\n\n" + "\n".join(table_lines(of_table)))
        worst = sorted(of_table, key=lambda score: score.overlap)[:SHOWN]
        print("\nworst: " + ", ".join(f"{score.case.name} {score.overlap:.2f}" for score in worst))
        rows.append([score.picture for score in worst])
        labels.append("\n".join([table, *(f"{score.overlap:.2f} {score.case.name}" for score in worst)]))
    print("\nTrust against overlap\n\n" + "\n".join(trust_lines([score for of in scores.values() for score in of])))
    title = "Green is right, red was missed, blue was taken in by mistake"
    write(settings.output_dir, "masks", _figures(scores), contact_sheet(rows, labels, title=title))


def measure(case: Case) -> Score:
    """Find the mask of a case as the intake does, and hold it against the truth."""
    import numpy as np
    from PIL import Image

    from lapel.photos.masks import find_mask
    from lapel.photos.read import Picture

    mask = find_mask(Picture(case.photo, None), None, case.class_word, case.view)
    found, truth = np.asarray(mask.image) >= 128, np.asarray(case.truth) >= 128
    verdict = np.stack([truth & ~found, truth & found, found & ~truth], axis=2)
    overlap = float((found & truth).sum() / (found | truth).sum())
    return Score(
        case, overlap, mask.source, mask.trust, _side_by_side(case.photo, Image.fromarray(verdict * np.uint8(255)))
    )


def table_lines(scores: Iterable[Score]) -> Iterator[str]:
    """A markdown table: one line a group, and one for all."""
    groups: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        groups[score.case.group].append(score)
    if len(groups) > 1:
        groups["all"] = [score for group in groups.values() for score in group]
    yield "| photos | number | mean | median | worst | mask from |\n|---|---|---|---|---|---|"
    for name, group in groups.items():
        overlaps = [score.overlap for score in group]
        sources = {
            source: sum(score.source == source for score in group) for score in group for source in [score.source]
        }
        told = ", ".join(f"{source} {count}" for source, count in sources.items())
        figures = f"{mean(overlaps):.3f} | {median(overlaps):.3f} | {min(overlaps):.3f}"
        yield f"| {name} | {len(group)} | {figures} | {told} |"


def trust_lines(scores: list[Score]) -> Iterator[str]:
    """A markdown table of what masks of each degree of trust have reached."""
    yield "| trust | photos | mean overlap | below 0.7 |\n|---|---|---|---|"
    for low, high in ((0.0, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.85), (0.85, 0.9), (0.9, 0.96), (0.96, 1.0)):
        overlaps = [score.overlap for score in scores if low <= score.trust < high]
        if overlaps:
            share = mean(overlap < 0.7 for overlap in overlaps)
            yield f"| {low:.2f} to {high:.2f} | {len(overlaps)} | {mean(overlaps):.3f} | {100 * share:.0f} % |"


def _figures(scores: dict[str, list[Score]]) -> dict[str, Any]:
    return {
        table: [
            {"photo": s.case.name, "group": s.case.group, "overlap": s.overlap, "source": s.source, "trust": s.trust}
            for s in of_table
        ]
        for table, of_table in scores.items()
    }


def _cases(settings: MaskSettings) -> Iterator[Case]:
    if settings.photos_dir.is_dir():
        yield from _cut_outs(settings.photos_dir)
        yield from _pairs(settings.photos_dir / "colourway-pairs")
    else:
        print(f"no photos at {settings.photos_dir}: only the wardrobe is measured")
    yield from _wardrobe(settings)


def _cut_outs(photos_dir: Path) -> Iterator[Case]:
    """Every photo with transparency on white, light grey, a gradient, and three textures."""
    from PIL import Image

    from lapel.photos.captions import class_word_of

    files = [file for folder in ("saleor", "solidus") for file in sorted((photos_dir / folder).rglob("*.png"))]
    for file in files:
        with Image.open(file) as opened:
            cut_out = opened.convert("RGBA")
        cut_out.thumbnail((_CUT_OUT_SIDE, _CUT_OUT_SIDE))
        alpha, class_word = cut_out.getchannel("A"), class_word_of(file.stem) or "garment"
        for name, backdrop in _backdrops(photos_dir / "dreambooth" / "fancy_boot", cut_out.size):
            photo = Image.composite(cut_out.convert("RGB"), backdrop, alpha)
            yield Case("Cut-outs", f"on {name}", f"{file.stem} on {name}", photo, alpha, class_word, "front")


def _backdrops(textures: Path, size: tuple[int, int]) -> Iterator[tuple[str, Image.Image]]:
    import numpy as np
    from PIL import Image

    yield "white", Image.new("RGB", size, "white")
    yield "light grey", Image.new("RGB", size, "lightgrey")
    down, across = np.mgrid[0 : 1 : size[1] * 1j, 0 : 1 : size[0] * 1j]
    light = (235 - 70 * down - 25 * across)[..., None] * np.array([1, 0.99, 0.96])
    yield "a gradient", Image.fromarray(light.astype(np.uint8))
    for name, (file, box) in _TEXTURES.items():
        with Image.open(textures / file) as opened:
            piece = np.asarray(opened.convert("RGB").crop(box))
        # Mirrored at its sides, it has no seams.
        rows, columns = size[1] // len(piece) + 1, size[0] // piece.shape[1] + 1
        tall = np.concatenate([piece[:: -1 if row % 2 else 1] for row in range(rows)])
        wide = np.concatenate([tall[:, :: -1 if column % 2 else 1] for column in range(columns)], axis=1)
        yield name, Image.fromarray(wide[: size[1], : size[0]])


def _pairs(folder: Path) -> Iterator[Case]:
    """Worn photos whose mask is where two colourways differ; trims of one colour are not in it."""
    from PIL import Image

    from lapel.photos.read import read_picture

    for name, class_word in _PAIRS.items():
        for letter in ("a", "b"):
            photo = read_picture(folder / name / f"{letter}.jpg", "white").colour
            with Image.open(folder / name / "mask_from_diff.png") as truth:
                yield Case("Colourway pairs", name, f"{name} {letter}", photo, truth.convert("L"), class_word, "")


def _wardrobe(settings: MaskSettings) -> Iterator[Case]:
    """Drawn photos with exact masks, half of them of garments in combinations that `tiny` never saw."""
    from PIL import Image

    from lapel.wardrobe import photograph, sample_garment, sample_shot

    for number in range(settings.wardrobe):
        seed = settings.first_seed + number
        garment = sample_garment(seed, "train" if number % 2 else "held_out")
        shot = sample_shot(seed, garment)
        photo = photograph(garment, shot, settings.size)
        name = f"{garment.kind} {shot.view} {shot.scene} {number}"
        images = Image.fromarray(photo.image), Image.fromarray(photo.mask)
        yield Case("Wardrobe", shot.view, name, *images, garment.kind, shot.view)


def _side_by_side(photo: Image.Image, verdict: Image.Image) -> Image.Image:
    from PIL import Image

    shown = photo.copy()
    shown.thumbnail((CELL, CELL))
    both = Image.new("RGB", (shown.width, 2 * shown.height))
    both.paste(shown, (0, 0))
    both.paste(verdict.resize(shown.size), (0, shown.height))
    return both

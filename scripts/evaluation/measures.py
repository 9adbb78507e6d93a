"""How each measure behaves on the wardrobe: whether it grows with a known change, and with nothing else."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING

from evaluation.changes import CHANGES, NUISANCES, Changed, changed_photos, doses, garments
from evaluation.results import write

if TYPE_CHECKING:
    import numpy as np
    import torch

    from lapel.fidelity import ImageTower
    from lapel.wardrobe import Garment


@dataclass
class MeasureSettings:
    """On how much of the wardrobe the measures are tried."""

    output_dir: Path = Path("runs/measures")
    """Takes `measures.json`, and `measures.png` with every change of some garments."""

    garments: int = 24
    """A third of them plain with a printed word, the others patterned."""

    size: int = 96
    """Side of the photos, in pixels."""

    gallery: int = 50
    """Garments among which the right one is to be found."""

    text: bool = True
    """Whether prints are read: it takes the extra `ocr`, and most of the time."""

    regions: int = 100
    """Photos of each view on which the garment's region is looked for."""

    tower: str = "tiny"
    """The towers that measure, as a training's `--tower` names them."""

    first_seed: int = 3_000_000
    """Of the garments and shots."""


EXPECTED: dict[str, tuple[str, ...]] = {
    "colour": ("colour 2", "colour 5", "colour 10", "colour 20", "other garment"),
    "colour, worst": ("colour 2", "colour 5", "colour 10", "colour 20", "other garment"),
    "structure": ("scale by 1", "scale by 2", "other garment"),
    "identity": ("colour 2", "colour 5", "colour 10", "colour 20", "other garment"),
    "retrieval": ("colourway", "other garment"),
    "text": ("print removed",),
}
"""The changes with which a measure must grow, the least first."""

SHOWN = 8
"""Garments on the sheet."""

_STILL = 0.9
"""The least share of pairs in which the last change of a measure counts for more than scene, pose and light."""


def measure_measures(settings: MeasureSettings) -> None:
    """The table of behaviour, that of the measures of a set of images, and that of the regions."""
    from PIL import Image
    from tqdm import tqdm

    from lapel.fidelity import ImageTower
    from lapel.sheet import contact_sheet

    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    sets: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    tower, pictures, labels = ImageTower(settings.tower, wants_text=True), [], []
    for number, garment in enumerate(tqdm(garments(settings.garments, settings.first_seed), desc="measures")):
        seed = settings.first_seed + 100 * number
        judge = Judge(settings, tower, garment, seed)
        changed = list(changed_photos(garment, seed, settings.size))
        for one in changed:
            for name, value in judge.measure(one):
                values[name][one.what].append(value)
        for name, dose, value in doses(tower, garment, seed, settings.size):
            sets[name][f"{100 * dose:g} %"].append(value)
        if number < SHOWN:
            fronts = {one.what: Image.fromarray(one.photo.image) for one in changed if one.view == "front"}
            pictures.append([fronts[what] for what in COLUMNS if what in fronts])
            labels.append(garment.words())
    regions = list(region_rows(settings.regions, settings.size, settings.first_seed))
    print("\n".join(behaviour_lines(values)))
    print("\n" + "\n".join(dose_lines(sets)))
    print("\n" + "\n".join(regions))
    measured = {"garment": values, "sets": sets, "regions": regions}
    write(settings.output_dir, "measures", measured, contact_sheet(pictures, labels))


COLUMNS = ("as it is", *NUISANCES, *CHANGES)


class Judge:
    """Measures photos of a changed garment against five photos of what it was."""

    def __init__(self, settings: MeasureSettings, tower: ImageTower, garment: Garment, seed: int) -> None:
        from lapel.fidelity import dominant_colours, structure
        from lapel.fidelity.gallery import wardrobe_gallery
        from lapel.fidelity.lettering import TextReader
        from lapel.wardrobe import photograph, sample_shot
        from lapel.wardrobe.vocabulary import PRINT_WORDS

        def photos(shown: Garment, first: int, views: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
            taken = [
                photograph(shown, sample_shot(first + n, shown, view), settings.size) for n, view in enumerate(views)
            ]
            return [(photo.image, photo.mask >= 128) for photo in taken]

        self.tower = tower
        references = photos(garment, seed, ("front", "front", "back", "worn", "worn"))
        self.palette = dominant_colours(*(list(part) for part in zip(*references, strict=True)))
        self.structures = [structure(image, mask) for image, mask in references]
        self.seen = self._embed(references)
        others = wardrobe_gallery(garment, settings.gallery, seed)[1:]
        self.others = [self._embed(photos(other, seed + 10 + n, ("front", "worn"))) for n, other in enumerate(others)]
        self.reader = TextReader() if settings.text and garment.print in PRINT_WORDS else None
        self.printed = garment.print

    def _embed(self, photos: Sequence[tuple[np.ndarray, np.ndarray]]) -> torch.Tensor:
        return self.tower.embed_regions(*zip(*photos, strict=True))

    def measure(self, changed: Changed) -> Iterator[tuple[str, float]]:
        """Every measure within the exact mask, and those of the run within the region that is found, too."""
        import torch

        from lapel.fidelity import colour_difference, dominant_colours, garment_region, structure, structure_difference
        from lapel.fidelity.gallery import retrieval_rank
        from lapel.fidelity.lettering import character_error_rate

        image, exact = changed.photo.image, changed.photo.mask >= 128
        kind = changed.photo.attributes["garment"]["kind"]
        for how, region in (("", exact), (", found region", garment_region(image, kind, changed.view))):
            colour = colour_difference(dominant_colours([image], [region]), self.palette)
            yield f"colour{how}", colour.mean
            yield f"colour, worst{how}", colour.worst
            yield f"structure{how}", structure_difference(structure(image, region), self.structures)
            embedding = self._embed([(image, region)])[0]
            own = (self.seen @ embedding).max()
            yield f"identity{how}", 1 - float(own)
            ranked = torch.stack([own, *((other @ embedding).max() for other in self.others)])
            yield f"retrieval{how}", float(retrieval_rank(ranked, 0) > 1)
        if self.reader and changed.view != "back":
            yield "text", character_error_rate(self.reader.read(image, exact), self.printed)


def behaviour_lines(values: Mapping[str, Mapping[str, Sequence[float]]]) -> Iterator[str]:
    """Medians (of retrieval, means) by change, and whether the measure does what it must."""
    yield f"| measure | {' | '.join(COLUMNS)} | grows steadily | told from scene, pose, light |"
    yield "|---" * (len(COLUMNS) + 3) + "|"
    for name, by_change in values.items():
        middle = mean if name.startswith(("retrieval", "text")) else median
        cells = [f"{middle(by_change[what]):.3g}" if by_change.get(what) else "" for what in COLUMNS]
        expected = [what for what in EXPECTED[name.removesuffix(", found region")] if by_change.get(what)]
        steps = [middle(by_change[what]) for what in ("as it is", *expected)]
        steady = all(low <= high for low, high in itertools.pairwise(steps)) and steps[0] < steps[-1]
        still = [value for what in NUISANCES for value in by_change.get(what, ())]
        told = told_apart(still, by_change[expected[-1]]) if expected else 0.0
        verdict = "yes" if steady else "no"
        yield f"| {name} | {' | '.join(cells)} | {verdict} | {told:.2f}{'' if told >= _STILL else ', too little'} |"


def told_apart(still: Sequence[float], changed: Sequence[float]) -> float:
    """The share of pairs in which a changed garment measures more than an unchanged one; ties count half."""
    pairs = [(one > other) + 0.5 * (one == other) for one in changed for other in still]
    return mean(pairs)


def dose_lines(sets: Mapping[str, Mapping[str, Sequence[float]]]) -> Iterator[str]:
    """Means by how much of the set is wrong."""
    columns = list(next(iter(sets.values())))
    yield f"| measure | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, by_dose in sets.items():
        yield f"| {name} | {' | '.join(f'{mean(by_dose[dose]):.2f}' for dose in columns)} |"


def region_rows(count: int, size: int, first_seed: int) -> Iterator[str]:
    """How near the regions found come to exact masks, and what that does to the colour measured in them."""
    from lapel.fidelity import colour_difference, dominant_colours, garment_region
    from lapel.fidelity.region import expected_region
    from lapel.wardrobe import photograph, sample_garment, sample_shot

    yield "| view | found by | mean overlap | median | below 0.7 | colour off, median | 90th percentile |"
    yield "|---|---|---|---|---|---|---|"
    for view in ("front", "back", "worn"):
        found: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for number in range(count):
            garment = sample_garment(first_seed + number, "train" if number % 2 else "held_out")
            photo = photograph(garment, sample_shot(first_seed + number, garment, view), size)
            exact = photo.mask >= 128
            palette = dominant_colours([photo.image], [exact])
            ways = {
                "place alone": expected_region(photo.image, garment.kind, view),
                "intake, view not told": garment_region(photo.image, garment.kind, ""),
                "intake": garment_region(photo.image, garment.kind, view),
            }
            for way, region in ways.items():
                overlap = (region & exact).sum() / (region | exact).sum()
                off = colour_difference(dominant_colours([photo.image], [region]), palette).mean
                found[way].append((float(overlap), off))
        for way, pairs in found.items():
            overlaps, offs = (sorted(part) for part in zip(*pairs, strict=True))
            share = mean(overlap < 0.7 for overlap in overlaps)
            figures = f"{mean(overlaps):.3f} | {median(overlaps):.3f} | {100 * share:.0f} %"
            yield f"| {view} | {way} | {figures} | {median(offs):.1f} | {offs[int(0.9 * len(offs))]:.1f} |"

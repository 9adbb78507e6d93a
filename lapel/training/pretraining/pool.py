"""The photos that `tiny` is trained on, drawn once and mapped from disk."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lapel.files import written_whole
from lapel.wardrobe import (
    COLOURS,
    KINDS,
    PARSING,
    PATTERNS,
    SCENES,
    SIBLINGS,
    VIEWS,
    Garment,
    Shot,
    photograph,
    sample_garment,
    sample_shot,
    sample_siblings,
)

CHUNK = 500

PATCHES = 8
"""Patches along a side of a photo, as `tiny`'s image tower cuts it."""


@dataclass(frozen=True)
class Pool:
    """Photos and captions, by number."""

    images: np.ndarray
    """(n, size, size, 3) uint8, mapped from disk."""
    parsing: np.ndarray
    """(n, PATCHES, PATCHES) uint8, mapped from disk: the class of `PARSING` that most of a patch shows."""
    captions: list[str]


Subject = Callable[[int], tuple[Garment, Shot]]


def single(number: int) -> tuple[Garment, Shot]:
    """Any garment of the training split, anyhow photographed."""
    garment = sample_garment(number)
    return garment, sample_shot(number, garment)


def sibling(number: int) -> tuple[Garment, Shot]:
    """One of a family: `SIBLINGS` photos in a row are the same but for one thing about the garment."""
    family, member = divmod(number, SIBLINGS)
    garment = _siblings(family)[member]
    return garment, sample_shot(family, garment)


@functools.lru_cache(maxsize=4)
def _siblings(family: int) -> list[Garment]:
    return sample_siblings(family)


Drawn = tuple[dict[str, np.ndarray], list[str]]
"""Arrays by name, uint8, an entry a photo along their first axis, and the photos' captions."""


def draw_once(folder: Path, name: str, count: int, workers: int, draw: Callable[[int], Drawn]) -> Drawn:
    """Draw `count` photos in several processes, or open those that lie in `folder` under that name.

    Args:
        draw: the `CHUNK` photos from a number on, each a pure function of its own, so that what is drawn of every
            count begins alike.

    Returns:
        What `draw` gives, for all of them; the arrays are mapped from disk.
    """
    words = folder / f"{name}.json"
    if not words.exists():
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, np.memmap] = {}
        captions: list[str] = []
        starts = range(0, count, CHUNK)
        with ProcessPoolExecutor(workers) as processes:
            for start, (parts, said) in zip(
                starts, tqdm(processes.map(draw, starts), "draw photos", len(starts)), strict=True
            ):
                stop = min(start + CHUNK, count)
                for part, drawn in parts.items():
                    if part not in arrays:
                        shape = (count, *drawn.shape[1:])
                        arrays[part] = np.lib.format.open_memmap(folder / f"{name}-{part}.npy", "w+", np.uint8, shape)
                    arrays[part][start:stop] = drawn[: stop - start]
                captions += said[: stop - start]
        for array in arrays.values():
            array.flush()
        with written_whole(words) as path:  # last: it says that the pictures are whole
            path.write_text(json.dumps({"parts": list(arrays), "captions": captions}), encoding="utf-8")
    told = json.loads(words.read_text(encoding="utf-8"))
    return {part: np.load(folder / f"{name}-{part}.npy", mmap_mode="r") for part in told["parts"]}, told["captions"]


def draw_pool(folder: Path, count: int, size: int, workers: int, subject: Subject = single) -> Pool:
    """Draw `count` photos of the subjects, or open those that lie in `folder` from an earlier call."""
    name = f"{subject.__name__}-{count}-{size}"
    arrays, captions = draw_once(folder, name, count, workers, functools.partial(_draw_chunk, size, subject))
    return Pool(**arrays, captions=captions)


def labels_of(subject: Subject, count: int) -> torch.Tensor:
    """What the first `count` subjects are, as numbers.

    Returns:
        (count, 6) int64: kind, pattern, main colour, second colour (the main one where there is no second), scene,
        view, as positions in the wardrobe's lists; `LABEL_SIZES` says how many values each has.
    """
    colours = list(COLOURS)
    rows = []
    for number in range(count):
        garment, shot = subject(number)
        main, second = garment.colours[0], garment.colours[min(1, len(garment.colours) - 1)]
        places = (KINDS.index(garment.kind), PATTERNS.index(garment.pattern), colours.index(main))
        rows.append((*places, colours.index(second), SCENES.index(shot.scene), VIEWS.index(shot.view)))
    return torch.tensor(rows)


LABEL_SIZES = (len(KINDS), len(PATTERNS), len(COLOURS), len(COLOURS), len(SCENES), len(VIEWS))


def _draw_chunk(size: int, subject: Subject, start: int) -> Drawn:
    photos = [photograph(*subject(number), size) for number in range(start, start + CHUNK)]
    parsing = patch_classes(np.stack([photo.parsing for photo in photos]))
    arrays = {"images": np.stack([photo.image for photo in photos]), "parsing": parsing}
    return arrays, [photo.caption for photo in photos]


def patch_classes(parsing: np.ndarray) -> np.ndarray:
    """The class that most of each patch shows, of (n, size, size) uint8 parsing maps: (n, PATCHES, PATCHES) uint8."""
    count, size, _ = parsing.shape
    side = size // PATCHES
    cut = parsing[:, : side * PATCHES, : side * PATCHES].reshape(count, PATCHES, side, PATCHES, side)
    shares = np.stack([(cut == number).mean(axis=(2, 4)) for number in PARSING.values()])
    return shares.argmax(axis=0).astype(np.uint8)

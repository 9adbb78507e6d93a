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


def draw_pool(folder: Path, count: int, size: int, workers: int, subject: Subject = single) -> Pool:
    """Draw `count` photos of the subjects, or open those that lie in `folder` from an earlier call.

    Photo i is a pure function of i, so pools of every length share their beginning.
    """
    name = f"{subject.__name__}-{count}-{size}"
    images, parsing, captions = (folder / f"{name}{end}" for end in (".npy", ".parsing.npy", ".json"))
    if not all(file.exists() for file in (images, parsing, captions)):
        folder.mkdir(parents=True, exist_ok=True)
        starts = range(0, count, CHUNK)
        words: list[str] = []
        with (
            written_whole(images) as image_path,
            written_whole(parsing) as parsing_path,
            ProcessPoolExecutor(workers) as processes,
        ):
            pixels = np.lib.format.open_memmap(image_path, "w+", np.uint8, (count, size, size, 3))
            classes = np.lib.format.open_memmap(parsing_path, "w+", np.uint8, (count, PATCHES, PATCHES))
            parts = processes.map(functools.partial(_draw_chunk, size, subject), starts)
            for start, part in zip(starts, tqdm(parts, "draw photos", len(starts)), strict=True):
                stop = min(start + CHUNK, count)
                pixels[start:stop], classes[start:stop] = part.images[: stop - start], part.parsing[: stop - start]
                words += part.captions[: stop - start]
            pixels.flush()
            classes.flush()
        with written_whole(captions) as path:
            path.write_text(json.dumps(words), encoding="utf-8")
    words = json.loads(captions.read_text(encoding="utf-8"))
    return Pool(np.load(images, mmap_mode="r"), np.load(parsing, mmap_mode="r"), words)


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


def _draw_chunk(size: int, subject: Subject, start: int) -> Pool:
    photos = [photograph(*subject(number), size) for number in range(start, start + CHUNK)]
    parsing = patch_classes(np.stack([photo.parsing for photo in photos]))
    return Pool(np.stack([photo.image for photo in photos]), parsing, [photo.caption for photo in photos])


def patch_classes(parsing: np.ndarray) -> np.ndarray:
    """The class that most of each patch shows, of (n, size, size) uint8 parsing maps: (n, PATCHES, PATCHES) uint8."""
    count, size, _ = parsing.shape
    side = size // PATCHES
    cut = parsing[:, : side * PATCHES, : side * PATCHES].reshape(count, PATCHES, side, PATCHES, side)
    shares = np.stack([(cut == number).mean(axis=(2, 4)) for number in PARSING.values()])
    return shares.argmax(axis=0).astype(np.uint8)

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


@dataclass(frozen=True)
class Pool:
    """Photos and captions, by number."""

    images: np.ndarray
    """(n, size, size, 3) uint8, mapped from disk."""
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
    images, captions = folder / f"{name}.npy", folder / f"{name}.json"
    if not (images.exists() and captions.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        starts = range(0, count, CHUNK)
        words: list[str] = []
        with written_whole(images) as path, ProcessPoolExecutor(workers) as processes:
            array = np.lib.format.open_memmap(path, "w+", np.uint8, (count, size, size, 3))
            parts = processes.map(functools.partial(_draw_chunk, size, subject), starts)
            for start, (chunk, chunk_words) in zip(starts, tqdm(parts, "draw photos", len(starts)), strict=True):
                stop = min(start + CHUNK, count)
                array[start:stop] = chunk[: stop - start]
                words += chunk_words[: stop - start]
            array.flush()
        with written_whole(captions) as path:
            path.write_text(json.dumps(words), encoding="utf-8")
    return Pool(np.load(images, mmap_mode="r"), json.loads(captions.read_text(encoding="utf-8")))


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


def _draw_chunk(size: int, subject: Subject, start: int) -> tuple[np.ndarray, list[str]]:
    photos = [photograph(*subject(number), size) for number in range(start, start + CHUNK)]
    return np.stack([photo.image for photo in photos]), [photo.caption for photo in photos]

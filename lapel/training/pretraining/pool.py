"""The photos that `tiny` is trained on, drawn once and mapped from disk."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lapel.files import written_whole
from lapel.wardrobe import photograph, sample_garment, sample_shot

CHUNK = 500


@dataclass(frozen=True)
class Pool:
    """Photos and captions, by number."""

    images: np.ndarray
    """(n, size, size, 3) uint8, mapped from disk."""
    captions: list[str]


def draw_pool(folder: Path, count: int, size: int, workers: int) -> Pool:
    """Draw `count` wardrobe photos of the training split, or open those that lie in `folder` from an earlier call.

    Photo i is a pure function of i, so pools of every length share their beginning.
    """
    images, captions = folder / f"images-{count}-{size}.npy", folder / f"captions-{count}.json"
    if not (images.exists() and captions.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        starts = range(0, count, CHUNK)
        words: list[str] = []
        with written_whole(images) as path, ProcessPoolExecutor(workers) as processes:
            array = np.lib.format.open_memmap(path, "w+", np.uint8, (count, size, size, 3))
            parts = processes.map(_draw_chunk, starts, [size] * len(starts))
            for start, (chunk, chunk_words) in zip(starts, tqdm(parts, "draw photos", len(starts)), strict=True):
                stop = min(start + CHUNK, count)
                array[start:stop] = chunk[: stop - start]
                words += chunk_words[: stop - start]
            array.flush()
        with written_whole(captions) as path:
            path.write_text(json.dumps(words), encoding="utf-8")
    return Pool(np.load(images, mmap_mode="r"), json.loads(captions.read_text(encoding="utf-8")))


def _draw_chunk(start: int, size: int) -> tuple[np.ndarray, list[str]]:
    photos = []
    for seed in range(start, start + CHUNK):
        garment = sample_garment(seed)
        photos.append(photograph(garment, sample_shot(seed, garment), size))
    return np.stack([photo.image for photo in photos]), [photo.caption for photo in photos]

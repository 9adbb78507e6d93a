"""Draw images that show a garment: python inference/generate.py --adapter FILE --prompt "a photo of {garment} ..."

The base is the one that the first adapter's card names; several adapters are worn together, each with its weight. A
garment that nothing was trained for is worn from its photos: --encoder FILE --garment_photo PHOTO --prompt "...". A
fine-tuned checkpoint wears nothing: --base FILE --prompt "a photo of {garment} ...".
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lapel.errors import run_program
from lapel.files import require_writable, written_whole
from lapel.generation import Provenance, Request, WearSettings, generate, put_on, read_outfit, save_image
from lapel.quiet import quiet
from lapel.settings import read_settings

if TYPE_CHECKING:
    from PIL import Image


def main() -> None:
    """Read cards, load the base, wear the adapters, draw and save."""
    settings, request = read_settings(__doc__ or "", WearSettings, Request)
    outfit = read_outfit(settings)
    request.prompt = outfit.named(request.prompt)
    require_writable(settings.output_dir)

    quiet()
    import torch

    from lapel.base.load import load_base

    base = load_base(outfit.base, "cuda" if torch.cuda.is_available() else "cpu")
    pipeline, photos = put_on(outfit, base, "text2img", request.prompt)
    images = generate(pipeline, request, time_left(), photos)
    for path in save(images, request, settings.output_dir, outfit.provenance(base)):
        print(path)


def time_left() -> Callable[[int, int], None]:
    """A line on stderr that tells the share done and the time left; on a terminal it is one line that changes."""
    start = time.perf_counter()
    terminal = sys.stderr.isatty()
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        tenth = 10 * done // total
        if not terminal and tenth == told:
            return
        told = tenth
        left = math.ceil((time.perf_counter() - start) / done * (total - done))
        line = f"drawing: {100 * done // total:3d} %, {left // 60}:{left % 60:02d} left"
        print(line, end="\n" if done == total or not terminal else "\r", file=sys.stderr, flush=True)

    return tell


def save(images: list[Image.Image], request: Request, folder: Path, provenance: Provenance) -> list[Path]:
    """Write each image under its number and seed, beside what is there already, and a contact sheet of these."""
    from lapel.sheet import contact_sheet

    seeds = request.image_seeds()
    first = 1 + max((int(path.stem[:4]) for path in folder.glob("[0-9][0-9][0-9][0-9]-*.png")), default=0)
    paths = [folder / f"{first + number:04d}-{seed}.png" for number, seed in enumerate(seeds)]
    for path, image, seed in zip(paths, images, seeds, strict=True):
        save_image(path, image, request, seed, provenance)
    sheet = contact_sheet([images], [request.prompt], [f"seed {seed}" for seed in seeds])
    paths.append(folder / "sheet.png")
    with written_whole(paths[-1]) as unfinished:
        sheet.save(unfinished)
    return paths


if __name__ == "__main__":
    run_program(main)

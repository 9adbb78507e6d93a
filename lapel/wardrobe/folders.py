"""Writes a wardrobe garment as a shop would hand it in: a folder of JPEGs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from lapel.files import written_whole
from lapel.wardrobe.garment import Garment
from lapel.wardrobe.photograph import photograph
from lapel.wardrobe.shot import sample_shot

IDENTITY = "garment.json"
"""Holds what only the wardrobe knows of a garment; a trainer does not read it, an evaluation draws new photos by it."""


def write_garment_folder(
    garment: Garment, folder: Path, views: Sequence[tuple[str, str]], size: int = 512, seed: int = 0
) -> list[Path]:
    """Photograph a garment once for each (view, scene) and write `01-front.jpg` ... beside its identity.

    Args:
        garment: what is photographed.
        folder: made where it is missing.
        views: view and scene of each photo.
        size: side of the photos, in pixels.
        seed: of the first photo; the others follow.
    """
    files = []
    for number, (view, scene) in enumerate(views):
        photo = photograph(garment, sample_shot(seed + number, garment, view, scene), size)
        files.append(folder / f"{number + 1:02}-{view}.jpg")
        with written_whole(files[-1]) as path:
            Image.fromarray(photo.image).save(path, quality=93)
    with written_whole(folder / IDENTITY) as path:
        path.write_text(json.dumps({"garment": asdict(garment)}, indent=2) + "\n", encoding="utf-8")
    return files


def read_identity(folder: Path) -> Garment:
    """The garment that a wardrobe folder shows.

    Raises:
        FileNotFoundError: where the folder is not one of the wardrobe's.
    """
    fields = json.loads((folder / IDENTITY).read_text(encoding="utf-8"))["garment"]
    return Garment(**{**fields, "colours": tuple(fields["colours"])})

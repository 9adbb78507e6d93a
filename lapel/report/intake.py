"""What a run saw of its garment, kept in the run folder as small pictures, so that its page can be written at any time.

`photos/garment.json` holds the garment's words, the findings and the facts of each photo. Beside it lie, by number, the
photo as it was cut (`01.webp`) and what the loss counts of it (`01.seen.webp`, the mask as its transparency).
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.errors import UserError
from lapel.files import written_whole
from lapel.report.embed import data_url, encoded

if TYPE_CHECKING:
    from PIL import Image

    from lapel.photos import GarmentFolder

PHOTOS = "photos"
FACTS = "garment.json"

THUMBNAIL = 360
"""Pixels of a photo's longer side."""

MOST = 48
"""Photos that are kept and shown; a shop's largest folders would make a page that no phone opens."""

COLUMNS = (*("file", "width", "height", "view", "view_source"), *("mask_source", "mask_trust", "share", "caption"))
"""Of the columns of `GarmentFolder.photos`, those that people are told."""


def keep_photos(run_folder: Path, garment: GarmentFolder) -> Path:
    """Write `photos/` into the run folder, in place of an earlier one, and return it."""
    folder = run_folder / PHOTOS
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = []
    for number, row in enumerate(islice(garment.photos, MOST), 1):
        pictures = {"photo": f"{number:02}.webp", "seen": f"{number:02}.seen.webp"}
        (folder / pictures["photo"]).write_bytes(encoded(row["image"], THUMBNAIL))
        (folder / pictures["seen"]).write_bytes(encoded(counted(row["image"], row["mask"]), THUMBNAIL))
        rows.append({**{column: row[column] for column in COLUMNS}, **pictures})
    facts = {
        "name": garment.name,
        "trigger": garment.trigger,
        "class_word": garment.class_word,
        "attributes": garment.attributes,
        "sources": garment.sources,
        "count": len(garment.photos),
        "photos": rows,
        "findings": [dataclasses.asdict(finding) for finding in garment.findings],
    }
    with written_whole(folder / FACTS) as unfinished:
        unfinished.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def kept_photos(run_folder: Path) -> dict[str, Any] | None:
    """What `keep_photos` wrote, the pictures as data URLs; None where there is nothing.

    Raises:
        UserError: `garment.json` is not JSON of this kind, or a picture is gone.
    """
    from lapel.photos.checks import Finding

    path = run_folder / PHOTOS / FACTS
    if not path.is_file():
        return None
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for row in facts["photos"]:
            for picture in ("photo", "seen"):
                # By its last part alone, so that a folder from elsewhere brings no other file of this machine in.
                row[picture] = data_url((path.parent / Path(row[picture]).name).read_bytes())
            row |= {column: row[column] for column in COLUMNS}
            row |= {column: float(row[column]) for column in ("mask_trust", "share")}
        facts["findings"] = [dataclasses.asdict(Finding(**finding)) for finding in facts.get("findings", [])]
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise UserError(f"{path}: cannot be read ({error}); remove the folder, and the page goes without it") from None
    return facts


def counted(image: Image.Image, mask: Image.Image) -> Image.Image:
    """The image as opaque as its mask (mode L, softened where it is not trusted) lets the loss count it."""
    shown = image.convert("RGBA")
    shown.putalpha(mask.convert("L"))
    return shown

"""From a garment folder to the examples that a trainer learns from, cached by what they were made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.errors import UserError
from lapel.files import sha256
from lapel.photos.captions import compose
from lapel.photos.folder import Listing, PhotoFile, list_garment
from lapel.photos.models import NO_MODELS, Models
from lapel.photos.settings import PhotoSettings

if TYPE_CHECKING:
    from datasets import Dataset, Features
    from PIL import Image

    from lapel.photos.buckets import Crop
    from lapel.photos.checks import Finding


_WRITTEN_AT_ONCE = 16
"""Rows that wait in memory to be written, so that a large folder needs no more of it than a small one."""

_MANY = 20
"""Photos from which on a bar shows how far the intake is."""


@dataclass
class GarmentFolder:
    """A garment's photos, ready to learn from.

    `photos` has one row a photo:

    - `file` (name), `frames` and `content` (SHA-256) of it, and the facts of `lapel.photos.facts`;
    - `image` (PIL RGB) and `mask` (PIL L, 255 inside), both of the bucket's `width` and `height`, of which `box` (left,
      top, right, bottom) is what they show of the photo, and `enlargement` the bucket's pixels per pixel of it;
    - `mask_source` and `mask_trust` (`lapel.photos.masks.Mask`; a mask that is not trusted is already softened),
      `movable` (whether it may be put on backdrops) and `figure` (PIL L, what then moves; None where that is the mask);
    - `view` ("" where nothing tells it), `view_source` ("feed", "name", "mask" where a person is seen to wear it,
      "rule" for close-ups among further views, "reader"), `another` (`PhotoFile`), and `read` (attributes);
    - `caption` with trigger and class word, and `composed`, the caption without anybody's words and place.

    `findings` is what there is to say about them, the worst first.
    """

    name: str
    class_word: str
    trigger: str
    photos: Dataset
    findings: tuple[Finding, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    """What is constant of the garment, and so left to the trigger: words by attribute, colours with their hex code."""
    sources: dict[str, str] = field(default_factory=dict)
    """Who told each attribute: "the shop", "names" (of files and folder), "reader", or "pixels"."""

    def require_sound(self) -> None:
        """Raise `UserError` with every finding that is an error."""
        errors = [finding for finding in self.findings if finding.level == "error"]
        if errors:
            raise UserError(*(finding.line().removeprefix("error: ") for finding in errors))


def read_garment(
    settings: PhotoSettings, resolution: int, multiple: int, cache_dir: Path, models: Models = NO_MODELS
) -> GarmentFolder:
    """Read, mask, caption and bucket every photo of a garment folder.

    The `models` that the settings ask for (`lapel.fidelity.models.load_models`) tell what nobody else does.

    `resolution` is the training size in pixels, `multiple` what both sides of a bucket are multiples of. The result is
    kept in `cache_dir` under a fingerprint of every photo's, mask's and caption's content, the settings, and this
    room's own code, so a changed one is never stale. Raises `UserError` with the findings on all photos at once.
    """
    from datasets import Dataset
    from datasets.exceptions import DatasetGenerationError

    listing = list_garment(settings)
    making = {"listing": listing, "background": settings.background, "resolution": resolution, "models": models}
    try:
        photos = Dataset.from_generator(
            _examples,
            features=_columns(),
            cache_dir=str(cache_dir),
            gen_kwargs={**making, "multiple": multiple},
            fingerprint=_fingerprint(listing, settings, resolution, multiple, models),
            writer_batch_size=_WRITTEN_AT_ONCE,
        )
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise
    return _considered(listing, photos)


def _columns() -> Features:
    """The columns of `GarmentFolder.photos`."""
    from datasets import Features, Image, List, Value

    text, number = Value("string"), Value("float32")
    words = dict.fromkeys(
        ("file", "mask_source", "view", "view_source", "caption", "composed", "content", "hash"), text
    )
    counts = dict.fromkeys(("width", "height", "frames"), Value("int32"))
    shares = dict.fromkeys(("mask_trust", "enlargement", "share", "white", "black", "blur"), number)
    lists = {
        "box": List(number),
        "border": List(Value("int32")),
        "lab": List(number),
        "colours": List(text),
        "read": List(text),
        "palette": Value("binary"),
    }
    yes_or_no = {"movable": Value("bool"), "another": Value("bool")}
    pictures = {"image": Image(mode="RGB"), "mask": Image(mode="L"), "figure": Image(mode="L")}
    return Features({**pictures, **yes_or_no, **words, **counts, **shares, **lists})


def _considered(listing: Listing, photos: Dataset) -> GarmentFolder:
    """What all the photos together tell: findings, and what is constant of the garment."""
    from lapel.photos.checks import check
    from lapel.photos.colour_names import common_colours
    from lapel.photos.masks import TRUSTED
    from lapel.photos.reading import agreed

    rows = photos.remove_columns(["image", "mask", "figure"]).to_list()
    sure = [row for row in rows if row["mask_trust"] >= TRUSTED and row["view"] != "detail"]
    by_source = {
        "the shop": {"SKU": listing.sku, "colour in the shop's words": listing.colour},
        "reader": agreed([row["read"] for row in rows if row["view"] != "detail"]),
        "names": listing.attributes,
        "pixels": {"colours": ", ".join(common_colours(row["colours"] for row in sure))},
    }
    told = {name: (value, source) for source, of in by_source.items() for name, value in of.items() if value}
    attributes = {name: value for name, (value, _) in told.items()}
    sources = {name: source for name, (_, source) in told.items()}
    return GarmentFolder(listing.name, listing.class_word, listing.trigger, photos, check(rows), attributes, sources)


def _fingerprint(listing: Listing, settings: PhotoSettings, resolution: int, multiple: int, models: Models) -> str:
    """Names everything that the examples depend on."""
    code = [sha256(path) for path in sorted(Path(__file__).parent.rglob("*.py"))]
    rows = [
        {**{key: str(value) for key, value in asdict(photo).items()}, "sha256": _content(photo)}
        for photo in listing.photos
    ]
    parts = [code, rows, listing.class_word, listing.trigger, settings.background, resolution, multiple]
    parts.append(models.fingerprint)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _content(photo: PhotoFile) -> list[str]:
    return [sha256(path) for path in (photo.path, photo.mask) if path is not None]


def _examples(
    listing: Listing, background: str, resolution: int, multiple: int, models: Models
) -> Iterator[dict[str, Any]]:
    """Rows for the dataset; after the last photo, a `UserError` with whatever was found wrong."""
    from tqdm import tqdm

    problems: list[str] = []
    for photo in tqdm(listing.photos, desc="photos", unit="photo", mininterval=1, disable=len(listing.photos) < _MANY):
        try:
            yield _example(photo, listing, background, resolution, multiple, models)
        except UserError as error:
            problems += error.lines
    if problems:
        raise UserError(*problems)


def _example(
    photo: PhotoFile, listing: Listing, background: str, resolution: int, multiple: int, models: Models
) -> dict[str, Any]:
    from lapel.photos.facts import facts_of
    from lapel.photos.masks import find_mask
    from lapel.photos.masks.plain import is_close_up
    from lapel.photos.read import read_mask, read_picture
    from lapel.photos.reading import read_photo

    picture = read_picture(photo.path, background)
    given = read_mask(photo.mask, photo.path, picture.colour.size) if photo.mask else None
    read = read_photo(models.reader, picture.colour, listing.class_word, photo.another)
    view, source = (photo.view, photo.view_source) if photo.view else (read.view, "reader" if read.view else "")
    if photo.another and not view and given is None and picture.alpha is None and is_close_up(picture.colour):
        view, source = "detail", "rule"  # what shops call alt and has no background is a close-up
    mask = find_mask(picture, given, listing.class_word, view, models.masks)
    view, source = ("worn", "mask") if mask.worn and not view else (view, source)
    crop = place_crop(mask.image, resolution, multiple)
    image = crop.cut(picture.colour)
    shown = ("" if source == "mask" else view, mask.worn, listing.trigger, listing.class_word)
    return {
        "file": photo.path.name,
        "image": image,
        "mask": crop.cut(mask.for_training()),
        "figure": crop.cut(mask.figure) if mask.figure is not None else None,
        "movable": mask.movable,
        "mask_source": mask.source,
        "mask_trust": mask.trust,
        "view": view,
        "view_source": source,
        "another": photo.another,
        "read": list(read.attributes),
        "caption": compose(photo.written, *shown, read.place),
        "composed": compose(None, *shown),
        "width": crop.width,
        "height": crop.height,
        "enlargement": crop.enlargement,
        "box": list(crop.box),
        "frames": picture.frames,
        "content": sha256(photo.path),
        **facts_of(picture.colour, mask.image, image),
    }


def place_crop(mask: Image.Image, resolution: int, multiple: int) -> Crop:
    """The bucket of a photo, and what it shows of it, around the garment of its mask (mode L, of the photo's size)."""
    from lapel.photos.buckets import choose_crop

    # Faint edges do not count as garment when the crop is placed.
    garment = mask.point(lambda value: 255 if value >= 128 else 0).getbbox()
    return choose_crop(mask.size, garment or (0, 0, *mask.size), resolution, multiple)

"""A catalogue: many garments with a few photos each, as a garment encoder learns from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lapel.errors import UserError
from lapel.files import sha256
from lapel.photos.captions import VIEWS, filled, unwritten
from lapel.photos.feed import FeedRow, feed_row, read_rows
from lapel.photos.folder import DEFAULT_CLASS_WORD, Listing, PhotoFile, list_garment
from lapel.photos.settings import PhotoSettings
from lapel.photos.vocabulary import CATEGORIES, last_of

if TYPE_CHECKING:
    from datasets import Dataset

WARDROBE = "wardrobe:"


@dataclass
class CatalogueSettings:
    """The garments that are learned from."""

    catalogue: str
    """A folder of garment folders; a metadata file (.csv or .jsonl) whose columns are sku, image, view, caption, mask
    and class_word, of which only sku and image are needed; or `wardrobe:N` for N garments that lapel draws."""

    captions: Literal["plain", "written"] = "plain"
    """`plain`: class word, view and whether somebody wears it, so that everything else is left to the photo. `written`:
    the catalogue's own captions where there are any; where they name colours and patterns, the photo is not needed,
    and the encoder learns less."""

    resolution: int | None = None
    """Training size in pixels: the side of a square photo; others get about the same area. By default the size that
    the base was trained at."""

    background: str = "white"
    """The plain colour behind transparent photos: a CSS name or #rrggbb."""

    def __post_init__(self) -> None:
        if self.resolution is not None and self.resolution < 32:
            raise UserError(f"--resolution {self.resolution}: too small; take at least 32 pixels")
        if self.catalogue.startswith(WARDROBE) and self.wardrobe < 2:
            raise UserError(f"--catalogue {self.catalogue}: give a number of garments from 2, as in wardrobe:2000")

    @property
    def wardrobe(self) -> int:
        """How many garments of the wardrobe are asked for; 0 for none or where it is no number."""
        number = self.catalogue.removeprefix(WARDROBE)
        return int(number) if number != self.catalogue and number.isdigit() else 0

    @property
    def name(self) -> str:
        """For the run folder and the files."""
        return "wardrobe" if self.wardrobe else Path(self.catalogue).resolve().stem


@dataclass(frozen=True)
class Catalogue:
    """The photos of many garments, ready to learn from.

    `photos` has one row a photo: `garment` (its number), `sku`, `file`, `view` ("" where nothing tells it), `caption`
    and `class_word`; `described`, the caption that tells the garment's looks as well, or `caption` where there is none;
    `image` (PIL RGB) and `mask` (PIL L, 255 inside) of the bucket's size; `mask_source`; and `cutout` (PIL RGB,
    square), the garment alone as an image tower is shown it.
    """

    name: str
    photos: Dataset

    @property
    def garments(self) -> int:
        """How many there are."""
        return len(set(self.photos["garment"]))

    @property
    def descriptions(self) -> int:
        """How many photos have a description that says more than their caption."""
        both = zip(self.photos["described"], self.photos["caption"], strict=True)
        return sum(described != caption for described, caption in both)

    def first_photos(self, count: int) -> list[int]:
        """The rows of the first photos of `count` garments, evenly over the catalogue."""
        garments = list(self.photos["garment"])
        firsts = [row for row, garment in enumerate(garments) if row == 0 or garments[row - 1] != garment]
        count = min(count, len(firsts))
        return [firsts[number * len(firsts) // count] for number in range(count)]


def list_catalogue(settings: CatalogueSettings) -> list[Listing]:
    """Every garment of a catalogue of files, before any photo is decoded; none for the wardrobe's.

    Raises:
        UserError: everything that is wrong with its folders or its lines, all at once.
    """
    if settings.wardrobe:
        return []
    place = Path(settings.catalogue).expanduser()
    if place.is_dir():
        listings = _folders(place, settings)
    elif place.is_file() and place.suffix in (".csv", ".jsonl"):
        listings = _metadata(place)
    else:
        raise UserError(
            f"{settings.catalogue}: no catalogue; give --catalogue a folder of garment folders, a .csv or .jsonl file, "
            f"or {WARDROBE}N"
        )
    if len(listings) < 2:
        raise UserError(f"{settings.catalogue}: holds {len(listings)} garment; an encoder learns from many, at least 2")
    return listings


def _folders(place: Path, settings: CatalogueSettings) -> list[Listing]:
    listings: list[Listing] = []
    problems: list[str] = []
    for folder in sorted(child for child in place.iterdir() if child.is_dir() and not child.name.startswith(".")):
        try:
            listings.append(list_garment(PhotoSettings(garment_dir=folder, background=settings.background)))
        except UserError as error:
            problems += error.lines
    if problems:
        raise UserError(*problems)
    return listings


def _metadata(path: Path) -> list[Listing]:
    """The garments of a metadata file, whose images and masks are named relative to it."""
    photos: dict[str, list[PhotoFile]] = {}
    words: dict[str, str] = {}
    problems: list[str] = []
    seen: set[str] = set()
    for number, fields in read_rows(path):
        row = feed_row(fields)
        image = str(fields.get("image") or fields.get("file_name") or "").strip()
        problem = _fault(path.parent, row, image, image in seen)
        if problem:
            problems.append(f"{path}: line {number}: {problem}")
            continue
        seen.add(image)
        mask = path.parent / row.mask if row.mask else None
        photo = PhotoFile(path.parent / image, mask, row.view, "feed" if row.view else "", row.caption or None)
        photos.setdefault(row.sku, []).append(photo)
        if not words.get(row.sku):
            words[row.sku] = row.class_word or last_of(row.caption, CATEGORIES) or ""
    if not photos and not problems:
        problems.append(f"{path}: names no photo; it takes a line for each, with the columns sku and image")
    if problems:
        raise UserError(*problems)
    return [
        Listing(sku, words[sku] or DEFAULT_CLASS_WORD, "", "", sku, {}, tuple(files)) for sku, files in photos.items()
    ]


def _fault(folder: Path, row: FeedRow, image: str, again: bool) -> str | None:
    """What is wrong with a line of a metadata file, and what to do."""
    if not row.sku or not image:
        return f"gives no {'image' if row.sku else 'sku'}; fill the column, or remove the line"
    if again:
        return f"names {image} again; keep one of the lines"
    missing = next((name for name in (image, row.mask) if name and not (folder / name).is_file()), None)
    if missing:
        return f"{missing} is not there; names are relative to {folder}"
    if row.view and row.view not in VIEWS:
        return f"no view {row.view!r}; take one of {', '.join(VIEWS)}"
    return None


def read_catalogue(settings: CatalogueSettings, resolution: int, multiple: int, cache_dir: Path) -> Catalogue:
    """Read, mask, cut out, caption and bucket every photo of a catalogue, or take them from `cache_dir`.

    `resolution` and `multiple` as in `read_garment`. The cache is named by the content of every file, the settings and
    this room's own code.

    Raises:
        UserError: the findings on all photos at once.
    """
    from datasets import Dataset, Features, Image, Value
    from datasets.exceptions import DatasetGenerationError

    listings = list_catalogue(settings)
    words = ("sku", "file", "view", "caption", "described", "class_word", "mask_source")
    text = dict.fromkeys(words, Value("string"))
    pictures = {"image": Image(mode="RGB"), "mask": Image(mode="L"), "cutout": Image(mode="RGB")}
    making = {"settings": settings, "resolution": resolution, "multiple": multiple}
    numbers = dict.fromkeys(("garment", "width", "height"), Value("int32"))
    try:
        photos = Dataset.from_generator(
            _drawn_rows if settings.wardrobe else _file_rows,
            features=Features({**text, **pictures, **numbers}),
            cache_dir=str(cache_dir),
            # A tuple: datasets would call the generator once for each item of a list.
            gen_kwargs={**making, "listings": tuple(listings)},
            fingerprint=_fingerprint(settings, listings, resolution, multiple),
            writer_batch_size=64,
        )
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise
    return Catalogue(settings.name, photos)


def _fingerprint(settings: CatalogueSettings, listings: list[Listing], resolution: int, multiple: int) -> str:
    rooms = Path(__file__).parent, Path(__file__).parents[1] / "wardrobe"
    code = [sha256(file) for room in rooms for file in sorted(room.rglob("*.py"))]
    files = [
        [
            listing.name,
            listing.class_word,
            photo.view,
            photo.written,
            *(sha256(f) for f in (photo.path, photo.mask) if f),
        ]
        for listing in listings
        for photo in listing.photos
    ]
    parts = [code, files, settings.wardrobe, settings.captions, settings.background, resolution, multiple]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _drawn_rows(
    settings: CatalogueSettings, listings: Sequence[Listing], resolution: int, multiple: int
) -> Iterator[dict[str, Any]]:
    from lapel.photos.buckets import bucket_sizes
    from lapel.photos.drawn import draw_rows

    return draw_rows(settings.wardrobe, max(min(size) for size in bucket_sizes(resolution, multiple)))


def _file_rows(
    settings: CatalogueSettings, listings: Sequence[Listing], resolution: int, multiple: int
) -> Iterator[dict[str, Any]]:
    """Rows for the dataset; after the last photo, a `UserError` with whatever was found wrong."""
    from tqdm import tqdm

    problems: list[str] = []
    photos = [(number, listing, photo) for number, listing in enumerate(listings) for photo in listing.photos]
    for number, listing, photo in tqdm(photos, desc="photos", unit="photo", mininterval=1):
        try:
            yield {"garment": number, **_row(listing, photo, settings, resolution, multiple)}
        except UserError as error:
            problems += error.lines
    if problems:
        raise UserError(*problems)


def _row(
    listing: Listing, photo: PhotoFile, settings: CatalogueSettings, resolution: int, multiple: int
) -> dict[str, Any]:
    from lapel.photos.cutout import cut_out
    from lapel.photos.intake import place_crop
    from lapel.photos.masks import find_mask
    from lapel.photos.read import read_mask, read_picture
    from lapel.wardrobe.captions import with_article

    picture = read_picture(photo.path, settings.background)
    given = read_mask(photo.mask, photo.path, picture.colour.size) if photo.mask else None
    mask = find_mask(picture, given, listing.class_word, photo.view)
    view = photo.view or ("worn" if mask.worn else "")
    crop = place_crop(mask.image, resolution, multiple)
    plain = unwritten(with_article(listing.class_word), view, worn=view == "worn")
    written = filled(" ".join((photo.written or "").split()), listing.class_word) or plain
    return {
        "sku": listing.name,
        "file": photo.path.name,
        "view": view,
        "caption": written if settings.captions == "written" else plain,
        "described": written,
        "class_word": listing.class_word,
        "image": crop.cut(picture.colour),
        "mask": crop.cut(mask.for_training()),
        "mask_source": mask.source,
        "width": crop.width,
        "height": crop.height,
        "cutout": cut_out(picture.colour, mask.image),
    }

"""A garment folder: which files are photos, which belong to them, and what the folder says of the garment."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import yaml

from lapel.errors import UserError
from lapel.photos.captions import first_class_word, is_another_view, read_text, view_of
from lapel.photos.feed import FeedRow, one_value, read_feed
from lapel.photos.settings import PhotoSettings
from lapel.photos.vocabulary import attributes_of

PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".jp2"),
    *(".tif", ".tiff", ".bmp", ".gif", ".ppm", ".heic", ".heif"),
)
DEFAULT_CLASS_WORD = "garment"
DEFAULT_TRIGGER = "ohwx"


@dataclass(frozen=True)
class PhotoFile:
    """One photo of a garment folder: where it and its mask are, its view, and the caption that somebody wrote for it.

    `view_source` is "feed", "name" (the file's), or "" where neither tells; `another` says that by its name it shows
    another view than the folder's first photos do (`-2`, `alt`).
    """

    path: Path
    mask: Path | None
    view: str
    view_source: str
    written: str | None
    another: bool = False


@dataclass(frozen=True)
class Listing:
    """What a garment folder holds, before any photo is decoded."""

    name: str
    class_word: str
    trigger: str
    colour: str
    """In the shop's words, "" where it has given none."""
    sku: str
    attributes: dict[str, str]
    """Of `lapel.photos.vocabulary`, as the folder's name, its card and the shop's words tell them."""
    photos: tuple[PhotoFile, ...]


def list_garment(settings: PhotoSettings) -> Listing:
    """List a garment folder, its photos in the order of their names.

    What the settings say wins over garment.yaml, that over the feed, and that over what names tell. Hidden files, text
    and other files are passed over; so are subfolders. Raises `UserError` with every finding: a missing or empty
    folder, masks without a photo, words that cannot be read, a feed of several garments.
    """
    folder = settings.garment_dir
    pictures = _pictures(folder)
    problems: list[str] = []
    feed, findings = read_feed(folder)
    problems += findings
    masks = {path for path in pictures if path.stem.endswith(".mask")} | _masks_of_feed(folder, feed, problems)
    photos = [path for path in pictures if path not in masks]
    if not photos:
        raise UserError(_why_no_photos(folder), *problems)
    problems += [
        f"{folder}: its feed names {name}, which is not a photo of this folder; mend or remove the line"
        for name in sorted(feed.keys() - {photo.name for photo in photos})
    ]
    words = _garment_words(settings, feed, problems)

    stems = {photo.stem for photo in photos}
    listed = []
    for photo in photos:
        row = feed.get(photo.name, FeedRow())
        mask = folder / row.mask if row.mask else _mask_of(photo, masks)
        masks.discard(mask or photo)
        written = _sidecar_caption(photo, problems) or row.caption or None
        named = view_of(photo.stem)
        view_source = "feed" if row.view else "name" if named else ""
        another = is_another_view(photo.stem, stems)
        listed.append(PhotoFile(photo, mask, row.view or named, view_source, written, another))
    problems += [f"{mask}: a mask without its photo; name it as the photo, or remove it" for mask in sorted(masks)]
    if problems:
        raise UserError(*problems)
    attributes = attributes_of(" ".join([*_descriptions(folder), words["class_word"]]))
    return Listing(folder.resolve().name, photos=tuple(listed), attributes=attributes, **words)


def _garment_words(settings: PhotoSettings, feed: dict[str, FeedRow], problems: list[str]) -> dict[str, str]:
    """Class word, trigger, colour and SKU, each from the surest source that names it."""
    folder = settings.garment_dir
    facts = _garment_facts(folder, problems)
    told = {}
    for field in ("class_word", "colour", "sku"):
        told[field], findings = one_value(folder, feed, field)
        problems += findings
    class_word = settings.class_word or facts.get("class_word") or told["class_word"]
    words = {
        "class_word": class_word or first_class_word(_descriptions(folder)) or DEFAULT_CLASS_WORD,
        "trigger": settings.trigger or facts.get("trigger") or DEFAULT_TRIGGER,
        "colour": facts.get("colour") or told["colour"],
        "sku": facts.get("sku") or told["sku"],
    }
    problems += [
        f"{folder}: {field}: several lines; give one" for field, value in words.items() if "\n" in value.strip()
    ]
    return {field: value.strip() for field, value in words.items()}


def _masks_of_feed(folder: Path, feed: dict[str, FeedRow], problems: list[str]) -> set[Path]:
    masks = {folder / row.mask for row in feed.values() if row.mask}
    problems += [
        f"{mask}: the feed's mask is not there; mend its name, or copy it" for mask in masks if not mask.is_file()
    ]
    return {mask for mask in masks if mask.is_file()}


def check_garment_dir(settings: PhotoSettings) -> Listing:
    """List a garment folder and decode every photo, mask and picture for backdrops once, without any heavy library.

    Raises `UserError` with all findings, so that a program can refuse a bad folder before it loads a model.
    """
    from lapel.photos.read import read_mask, read_picture

    listing = list_garment(settings)
    problems: list[str] = []
    for photo in listing.photos:
        try:
            picture = read_picture(photo.path, settings.background)
            if photo.mask is not None:
                read_mask(photo.mask, photo.path, picture.colour.size)
        except UserError as error:
            problems += error.lines
    if settings.backdrop_dir is not None:
        from lapel.photos.backdrops import list_pictures

        try:
            list_pictures(settings)
        except UserError as error:
            problems += error.lines
    if problems:
        raise UserError(*problems)
    return listing


def _pictures(folder: Path) -> list[Path]:
    if not folder.exists():
        raise UserError(f"{folder}: no such folder; give the folder that holds the garment's photos")
    if not folder.is_dir():
        raise UserError(f"{folder}: not a folder; give the folder that holds the garment's photos")
    try:
        files = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror}); allow reading it") from None
    return sorted(path for path in files if path.suffix.lower() in PHOTO_SUFFIXES)


def _why_no_photos(folder: Path) -> str:
    if not any(folder.iterdir()):
        return f"{folder}: the folder is empty; put the garment's photos into it"
    inner = sorted(child.name for child in folder.iterdir() if child.is_dir() and _pictures(child))
    if inner:
        return f"{folder}: photos are only in its subfolders; give one of them: {', '.join(inner)}"
    return f"{folder}: holds no photos; put JPEG, PNG, WebP or HEIC files of the garment into it"


def _mask_of(photo: Path, masks: set[Path]) -> Path | None:
    """`photo.mask.png` beside `photo.jpg`; or `photo.jpg.mask.png`, where two photos differ only in their suffix."""
    names = (f"{photo.name}.mask", f"{photo.stem}.mask")
    return next((mask for name in names for mask in sorted(masks) if mask.stem == name), None)


def _sidecar_caption(photo: Path, problems: list[str]) -> str | None:
    path = photo.with_suffix(".txt")
    if not path.is_file():
        return None
    try:
        return read_text(path).strip() or None
    except UserError as error:
        problems += error.lines
        return None


def _garment_facts(folder: Path, problems: list[str]) -> dict[str, str]:
    """What the folder's garment.yaml says, where there is one."""
    path = folder / "garment.yaml"
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(read_text(path)) or {}
    except yaml.YAMLError as error:
        problems.append(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}")
        return {}
    except UserError as error:
        problems += error.lines
        return {}
    if not isinstance(content, dict):
        problems.append(f"{path}: expected lines of `name: value`")
        return {}
    known = ("class_word", "trigger", "colour", "sku")
    for key, value in content.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)[0]
            problems.append(f"{path}: {key}: no such setting; the nearest is {near}")
        elif not isinstance(value, str | int) or not str(value).strip():
            problems.append(f"{path}: {key}: expected text, not {value!r}")
    # A SKU is often a number.
    return {key: str(value) for key, value in content.items() if key in known and isinstance(value, str | int)}


def _descriptions(folder: Path) -> list[str]:
    """Where a class word may stand, surest first: the folder's name, then its dataset card's title."""
    texts = [folder.resolve().name]
    card = folder / "README.md"
    if card.is_file():
        lines = card.read_text(encoding="utf-8", errors="replace").splitlines()
        texts += [line for line in lines if line.startswith(("pretty_name:", "# "))]
    return texts

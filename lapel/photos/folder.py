"""A garment folder: which files are photos, which belong to them, and what the folder says of the garment."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import yaml

from lapel.errors import UserError
from lapel.photos.captions import compose, first_class_word, read_text, view_of, written_captions
from lapel.photos.settings import PhotoSettings

PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".jp2"),
    *(".tif", ".tiff", ".bmp", ".gif", ".ppm", ".heic", ".heif"),
)
DEFAULT_CLASS_WORD = "garment"
DEFAULT_TRIGGER = "ohwx"


@dataclass(frozen=True)
class PhotoFile:
    """One photo of a garment folder: where it and its mask are, its view and its full caption."""

    path: Path
    mask: Path | None
    view: str
    caption: str


@dataclass(frozen=True)
class Listing:
    """What a garment folder holds, before any photo is decoded."""

    name: str
    class_word: str
    trigger: str
    photos: tuple[PhotoFile, ...]


def list_garment(settings: PhotoSettings) -> Listing:
    """List a garment folder, its photos in the order of their names.

    Hidden files, text and other files are passed over; so are subfolders. Raises `UserError` with every finding: a
    missing or empty folder, masks without a photo, captions that cannot be read.
    """
    folder = settings.garment_dir
    pictures = _pictures(folder)
    masks = {path for path in pictures if path.stem.endswith(".mask")}
    photos = [path for path in pictures if path not in masks]
    if not photos:
        raise UserError(_why_no_photos(folder))

    problems: list[str] = []
    facts = _garment_facts(folder, problems)
    class_word = settings.class_word or facts.get("class_word") or first_class_word(_descriptions(folder))
    class_word = class_word or DEFAULT_CLASS_WORD
    trigger = settings.trigger or facts.get("trigger") or DEFAULT_TRIGGER
    metadata, findings = written_captions(folder)
    problems += findings
    problems += [
        f"{folder / 'metadata.jsonl'}: names {name}, which is not a photo of this folder; mend or remove the line"
        for name in sorted(metadata.keys() - {photo.name for photo in photos})
    ]

    listed = []
    for photo in photos:
        mask = _mask_of(photo, masks)
        masks.discard(mask or photo)
        written = metadata.get(photo.name) or _sidecar_caption(photo, problems)
        view = view_of(photo.stem)
        listed.append(PhotoFile(photo, mask, view, compose(written, view, trigger.strip(), class_word.strip())))
    problems += [f"{mask}: a mask without its photo; name it as the photo, or remove it" for mask in sorted(masks)]
    if problems:
        raise UserError(*problems)
    return Listing(folder.resolve().name, class_word.strip(), trigger.strip(), tuple(listed))


def check_garment_dir(settings: PhotoSettings) -> Listing:
    """List a garment folder and decode every photo and mask once, without any heavy library.

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
    return f"{folder}: holds no photos; put JPEG, PNG or WebP files of the garment into it"


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
    """`class_word` and `trigger` from the folder's garment.yaml, where there is one."""
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
    known = ("class_word", "trigger")
    for key, value in content.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)[0]
            problems.append(f"{path}: {key}: no such setting; the nearest is {near}")
        elif not isinstance(value, str) or not value.strip():
            problems.append(f"{path}: {key}: expected text, not {value!r}")
    return {key: value for key, value in content.items() if key in known and isinstance(value, str)}


def _descriptions(folder: Path) -> list[str]:
    """Where a class word may stand, surest first: the folder's name, then its dataset card's title."""
    texts = [folder.resolve().name]
    card = folder / "README.md"
    if card.is_file():
        lines = card.read_text(encoding="utf-8", errors="replace").splitlines()
        texts += [line for line in lines if line.startswith(("pretty_name:", "# "))]
    return texts

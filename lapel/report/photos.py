"""`photos.html` and `photos.png`: a folder's photos as a training will see them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.files import written_whole
from lapel.report.embed import embedded, render_page
from lapel.sheet import contact_sheet

if TYPE_CHECKING:
    from PIL import Image

    from lapel.photos import GarmentFolder

PAGE, SHEET = "photos.html", "photos.png"

_IN_PAGE, _ON_BACKDROP, _IN_SHEET = 480, 240, 220
"""Pixels of a picture's longer side."""

_INK, _EDGE = (255, 0, 200), (255, 255, 255)


Captioned = Sequence[tuple["Image.Image", str]]
"""Pictures (RGB) with their captions."""


def write_photos(
    folder: Path,
    garment: GarmentFolder,
    whole: Iterable[Image.Image],
    seen: Iterable[Image.Image],
    moved: Iterable[Captioned],
) -> tuple[Path, Path]:
    """Write the page and the contact sheet into `folder`, and return their paths.

    `whole` are the photos as they are, `seen` the cut ones as the VAE passes them on, and `moved` those on their
    backdrops, one for each row of `garment.photos`; they are taken one at a time, so that a large folder needs no more
    memory than its thumbnails.
    """
    photos, cells, labels = [], [], []
    for row, photo, after, on in zip(garment.photos, whole, seen, moved, strict=True):
        image, mask = row.pop("image"), row.pop("mask")
        pictures = {
            "whole": _with_crop(photo, row["box"]),
            "cut": outlined(image, mask, row["mask_trust"]),
            "seen": after,
        }
        backdrops = [(embedded(picture, _ON_BACKDROP), caption) for picture, caption in on]
        shown = {name: embedded(picture, _IN_PAGE) for name, picture in pictures.items()}
        photos.append({**row, **shown, "backdrops": backdrops})
        cells.append([_fitted(picture) for picture in (*pictures.values(), *(picture for picture, _ in on))])
        labels.append(_label(row))
    html = render_page("photos.html.jinja", garment=garment, facts=_facts(photos), photos=photos)
    with written_whole(folder / PAGE) as path:
        path.write_text(html, encoding="utf-8")
    title = f"{garment.name}: {garment.trigger} {garment.class_word}"
    columns = ["photo and crop", "mask", "after the VAE"]
    columns += ["on a backdrop"] * (max(map(len, cells)) - len(columns))
    with written_whole(folder / SHEET) as path:
        contact_sheet(cells, labels, columns, title).save(path)
    return folder / PAGE, folder / SHEET


def _facts(photos: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """The folder in a few figures, for the head of the page."""
    views = sorted({photo["view"] for photo in photos if photo["view"]})
    sizes = sorted({f"{photo['width']} \N{MULTIPLICATION SIGN} {photo['height']}" for photo in photos})
    return [("photos", str(len(photos))), ("views", ", ".join(views) or "not told"), ("cut to", ", ".join(sizes))]


def _label(row: dict[str, Any]) -> str:
    size, mask = f"{row['width']} x {row['height']}", f"{row['mask_source']} {row['mask_trust']:.2f}"
    return "\n".join([row["file"], size, row["view"] or "view not told", mask, row["caption"]])


def outlined(image: Image.Image, mask: Image.Image, trust: float) -> Image.Image:
    """The image with the mask's outline drawn on it; `mask` (mode L) may have been softened by its `trust`."""
    import cv2
    import numpy as np
    from PIL import Image

    # Halfway between inside and what softening has left outside.
    inside = np.asarray(mask) > 255 * (1 - trust / 2)
    factor = max(1, round(_IN_PAGE / max(image.size)))
    size = (image.width * factor, image.height * factor)
    pixels = np.array(image.resize(size, Image.Resampling.BICUBIC))
    large = cv2.resize(inside.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    if 0 < large.mean() < 1:
        contours, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        for ink, width in ((_EDGE, 4), (_INK, 2)):
            cv2.drawContours(pixels, contours, -1, ink, width)
    return Image.fromarray(pixels)


def _with_crop(photo: Image.Image, box: Sequence[float]) -> Image.Image:
    from PIL import ImageDraw

    shown = photo.copy()
    shown.thumbnail((_IN_PAGE, _IN_PAGE))
    scale = shown.width / photo.width
    left, top, right, bottom = (scale * side for side in box)
    draw = ImageDraw.Draw(shown)
    for ink, width in ((_EDGE, 4), (_INK, 2)):
        draw.rectangle((left, top, right - 1, bottom - 1), outline=ink, width=width)
    return shown


def _fitted(picture: Image.Image) -> Image.Image:
    scale = _IN_SHEET / max(picture.size)
    return picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))


def finding_lines(garment: GarmentFolder) -> list[str]:
    """The findings as a table of plain text: level, photos, what was found and what to do."""
    import textwrap

    lines: list[str] = []
    for finding in garment.findings:
        first, *more = textwrap.wrap(f"{finding.what}; {finding.do}", 70)
        about = textwrap.wrap(finding.about, 26) or [""]
        for number in range(max(len(about), 1 + len(more))):
            level = finding.level if number == 0 else ""
            name = about[number] if number < len(about) else ""
            text = [first, *more][number] if number <= len(more) else ""
            lines.append(f"  {level:<8} {name:<26} {text}".rstrip())
    return lines


def photo_lines(garment: GarmentFolder) -> list[str]:
    """One line a photo: size, view, where its mask is from and how far it is trusted, caption."""
    columns = garment.photos.remove_columns(["image", "mask"])
    return [_photo_line(row) for row in columns]


def _photo_line(row: dict[str, Any]) -> str:
    size, mask = f"{row['width']} x {row['height']}", f"{row['mask_source']} {row['mask_trust']:.2f}"
    return f"  {row['file']:<26} {size:<12} {row['view'] or '-':<7} {mask:<16} {row['caption']}"

"""A corpus of awkward files, made here: each is read as a person sees it, or refused in one clear line."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from lapel.errors import UserError
from lapel.photos import PhotoSettings, check_garment_dir
from lapel.photos.read import read_picture

SIZE = (90, 72)
COLOURS = ((200, 0, 0), (0, 200, 0), (0, 0, 200))
Writer = Callable[[Path], object]


def scene() -> Image.Image:
    """Red, green and blue thirds from left to right."""
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for third, colour in enumerate(COLOURS):
        pixels[:, third * 30 : third * 30 + 30] = colour
    return Image.fromarray(pixels)


def clear_below() -> Image.Image:
    """The scene, whose lower half is transparent and hides yellow."""
    picture = scene()
    picture.paste((255, 255, 0), (0, 36, *SIZE))
    alpha = Image.new("L", SIZE, 255)
    alpha.paste(0, (0, 36, *SIZE))
    picture.putalpha(alpha)
    return picture


def saved(picture: Image.Image, **options: object) -> Writer:
    return lambda path: picture.save(path, **options)


def heif(picture: Image.Image) -> Writer:
    return lambda path: pillow_heif.from_pillow(picture).save(path, quality=95)


def deep(kind: type, factor: float, alpha: bool = False) -> Writer:
    """Written by OpenCV, which knows colour of more than 8 bits."""
    pixels = np.asarray(scene())[..., ::-1].astype(np.float64) * factor
    if alpha:
        pixels = np.dstack([pixels, np.full(pixels.shape[:2], 255 * factor)])
    return lambda path: cv2.imwrite(str(path), pixels.astype(kind))


def turned(orientation: int, stored: Image.Image, **options: object) -> Writer:
    exif = Image.Exif()
    exif[274] = orientation
    return saved(stored, exif=exif, **options)


def bytes_of(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def raw(content: bytes) -> Writer:
    return lambda path: path.write_bytes(content)


def with_thumbnail(path: Path) -> None:
    """A JPEG whose EXIF holds a thumbnail of another picture."""
    thumbnail = bytes_of(Image.new("RGB", (32, 32), "yellow"), "JPEG")
    head = b"Exif\0\0II*\0" + struct.pack("<IHI", 8, 0, 14)
    entries = ((513, 4, 1, 14 + 2 + 24 + 4), (514, 4, 1, len(thumbnail)))
    body = struct.pack("<H", 2) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + b"\0" * 4
    scene().save(path, quality=95, subsampling=0, exif=head + body + thumbnail)


def png_bomb(width: int, height: int) -> bytes:
    """A PNG's head that claims a size, and hardly any data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SWAPPED = SRGB.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)
"""sRGB with red and green exchanged."""

SECOND = Image.new("RGB", SIZE, "yellow")
ANIMATED = {"save_all": True, "append_images": [SECOND, SECOND]}
FINE = {"quality": 95, "subsampling": 0}
SIDEWAYS = scene().transpose(Image.Transpose.ROTATE_90)
ADAPTIVE = scene().convert("P", palette=Image.Palette.ADAPTIVE)

READ: dict[str, Writer] = {
    "plain.jpg": saved(scene(), **FINE),
    "plain.JPEG": saved(scene(), **FINE),
    "old.jpe": saved(scene(), **FINE),
    "web.jfif": saved(scene(), **FINE),
    "progressive.jpg": saved(scene(), progressive=True, **FINE),
    "plain.png": saved(scene()),
    "plain.webp": saved(scene(), quality=95),
    "lossless.webp": saved(scene(), lossless=True),
    "plain.avif": saved(scene(), quality=95),
    "phone.heic": heif(scene()),
    "phone.HEIF": heif(scene()),
    "plain.tif": saved(scene()),
    "packed.tiff": saved(scene(), compression="tiff_lzw"),
    "jpeg-in.tif": saved(scene(), compression="jpeg", quality=95),
    "plain.bmp": saved(scene()),
    "plain.gif": saved(ADAPTIVE),
    "plain.jp2": saved(scene()),
    "plain.ppm": saved(scene()),
    "cmyk.jpg": saved(scene().convert("CMYK"), **FINE),
    "cmyk.tif": saved(scene().convert("CMYK")),
    "lab.tif": saved(scene().convert("LAB")),
    "palette.png": saved(ADAPTIVE),
    "palette.bmp": saved(ADAPTIVE),
    "sixteen.png": deep(np.uint16, 257),
    "sixteen.tif": deep(np.uint16, 257),
    "sixteen-alpha.png": deep(np.uint16, 257, alpha=True),
    "opaque.png": saved(scene().convert("RGBA")),
    "turned.jpg": turned(6, SIDEWAYS, **FINE),
    "turned.png": turned(6, SIDEWAYS),
    "turned.webp": turned(6, SIDEWAYS, lossless=True),
    "turned.tif": turned(6, SIDEWAYS),
    "no-such-turn.jpg": turned(42, scene(), **FINE),
    "profile.jpg": saved(scene(), icc_profile=SRGB, **FINE),
    "broken-profile.png": saved(scene(), icc_profile=b"none"),
    "cut-profile.png": saved(scene(), icc_profile=SRGB[:200]),
    "thumbnail.jpg": with_thumbnail,
    "misnamed.jpg": raw(bytes_of(scene(), "PNG")),
    "misnamed.png": raw(bytes_of(scene(), "JPEG", **FINE)),
    "more-behind.jpg": raw(bytes_of(scene(), "JPEG", **FINE) + b"\0" * 500),
    "white space.jpg": saved(scene(), **FINE),
    "футболка-назад.jpg": saved(scene(), **FINE),
    "Tシャツ_正面.png": saved(scene()),
    "décolleté.png": saved(scene()),
    "de\u0301collete\u0301.png": saved(scene()),
    "👕.png": saved(scene()),
    'a\'b "c" & d.png' if Path("/").anchor == "/" else "a'b & d.png": saved(scene()),
    "one.two.three.png": saved(scene()),
    "x" * 200 + ".png": saved(scene()),
}

CUT_OUTS: dict[str, Writer] = {
    "clear.png": saved(clear_below()),
    "clear.webp": saved(clear_below(), lossless=True, exact=True),
    "clear.avif": saved(clear_below(), quality=100),
    "clear.tif": saved(clear_below()),
    "clear.heic": heif(clear_below()),
    "clear-palette.png": saved(clear_below().quantize(16, Image.Quantize.FASTOCTREE)),
    "clear-animated.png": saved(clear_below(), save_all=True, append_images=[clear_below(), SECOND.convert("RGBA")]),
}

MOVING: dict[str, Writer] = {
    "animated.gif": saved(scene(), **ANIMATED),
    "animated.png": saved(scene(), **ANIMATED),
    "animated.webp": saved(scene(), **ANIMATED, quality=95),
    "pages.tif": saved(scene(), **ANIMATED),
}

WHOLE = bytes_of(Image.effect_noise((200, 200), 90).convert("RGB"), "JPEG")

REFUSED: dict[str, tuple[Writer, str]] = {
    "nothing.jpg": (raw(b""), "empty file"),
    "text.jpg": (raw(b"not a picture"), "not a picture"),
    "page.png": (raw(b"<html>404</html>"), "not a picture"),
    "zeros.heic": (raw(b"\0" * 5000), "not a picture"),
    "head-only.jpg": (raw(WHOLE[:20]), "not a picture"),
    "half.jpg": (raw(WHOLE[: len(WHOLE) // 2]), "cut short"),
    "half.png": (raw(bytes_of(Image.effect_noise((200, 200), 90), "PNG")[:9000]), "cut short"),
    "half.webp": (raw(bytes_of(Image.effect_noise((200, 200), 90).convert("RGB"), "WEBP")[:2000]), "cut short"),
    "half.tif": (raw(bytes_of(Image.effect_noise((200, 200), 90), "TIFF")[:20000]), "cut short|not a picture"),
    "liar.png": (raw(png_bomb(500, 500)), "cut short"),
    "bomb.png": (raw(png_bomb(60_000, 60_000)), "megapixels"),
    "dot.png": (saved(Image.new("RGB", (1, 1))), "only 1 x 1"),
    "thin.png": (saved(Image.new("RGB", (2000, 20))), "only 2000 x 20"),
    "invisible.png": (saved(Image.new("RGBA", SIZE, (9, 9, 9, 0))), "wholly transparent"),
}


def colours_seen(picture: Image.Image, row: int = 18) -> np.ndarray:
    return np.array([picture.getpixel((15 + 30 * third, row)) for third in range(3)])


def test_the_corpus_is_large() -> None:
    assert len(READ) + len(CUT_OUTS) + len(MOVING) + len(REFUSED) >= 60


@pytest.mark.parametrize("name", READ)
def test_read_as_seen(tmp_path: Path, name: str) -> None:
    READ[name](tmp_path / name)
    picture = read_picture(tmp_path / name, "white")
    assert (picture.colour.mode, picture.colour.size, picture.alpha, picture.frames) == ("RGB", SIZE, None, 1)
    assert np.abs(colours_seen(picture.colour) - COLOURS).max() <= 26


@pytest.mark.parametrize("name", CUT_OUTS)
def test_hidden_colours_stay_hidden(tmp_path: Path, name: str) -> None:
    CUT_OUTS[name](tmp_path / name)
    picture = read_picture(tmp_path / name, "#102030")
    assert picture.alpha is not None
    assert np.abs(colours_seen(picture.colour) - COLOURS).max() <= 26
    assert np.abs(colours_seen(picture.colour, row=60) - (0x10, 0x20, 0x30)).max() <= 3


@pytest.mark.parametrize("name", MOVING)
def test_of_several_frames_the_first_is_taken(tmp_path: Path, name: str) -> None:
    MOVING[name](tmp_path / name)
    picture = read_picture(tmp_path / name, "white")
    assert picture.frames > 1
    assert np.abs(colours_seen(picture.colour) - COLOURS).max() <= 26


def test_a_profile_changes_what_is_seen(tmp_path: Path) -> None:
    scene().save(tmp_path / "a.jpg", icc_profile=SWAPPED, **FINE)
    seen = colours_seen(read_picture(tmp_path / "a.jpg", "white").colour)
    assert np.abs(seen - [COLOURS[1], COLOURS[0], COLOURS[2]]).max() <= 26


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(tmp_path: Path, name: str) -> None:
    write, reason = REFUSED[name]
    write(tmp_path / name)
    with pytest.raises(UserError, match=reason) as error:
        read_picture(tmp_path / name, "white")
    (line,) = error.value.lines
    assert line.startswith(f"{tmp_path / name}: ")
    assert "\n" not in line


def test_all_at_once(tmp_path: Path) -> None:
    """A folder of the whole corpus: every broken file is named, and nothing else is."""
    for name, write in {**READ, **CUT_OUTS, **MOVING, **{name: write for name, (write, _) in REFUSED.items()}}.items():
        write(tmp_path / name)
    with pytest.raises(UserError) as error:
        check_garment_dir(PhotoSettings(garment_dir=tmp_path))
    assert {Path(line.split(": ")[0]).name for line in error.value.lines} == set(REFUSED)
    assert len(error.value.lines) == len(REFUSED)

"""A photo is read as a person sees it, whatever its file holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from lapel.errors import UserError
from lapel.photos.read import read_mask, read_picture

SIZE = (80, 64)


def scene(size: tuple[int, int] = SIZE) -> Image.Image:
    """Left third red, middle green, right blue, with a white upper left corner: no two orientations look alike."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    third = size[0] // 3
    for channel, columns in enumerate((slice(0, third), slice(third, 2 * third), slice(2 * third, None))):
        pixels[:, columns, channel] = 200
    pixels[:16, :16] = 255
    return Image.fromarray(pixels)


def difference(a: Image.Image, b: Image.Image) -> float:
    assert a.size == b.size
    assert a.mode == b.mode == "RGB"
    return float(np.abs(np.asarray(a).astype(int) - np.asarray(b)).max())


@pytest.mark.parametrize(
    ("orientation", "as_stored"),
    [
        (1, None),
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (4, Image.Transpose.FLIP_TOP_BOTTOM),
        (5, Image.Transpose.TRANSPOSE),
        (6, Image.Transpose.ROTATE_90),
        (7, Image.Transpose.TRANSVERSE),
        (8, Image.Transpose.ROTATE_270),
    ],
)
def test_exif_orientation(tmp_path: Path, orientation: int, as_stored: Image.Transpose | None) -> None:
    stored = scene() if as_stored is None else scene().transpose(as_stored)
    exif = Image.Exif()
    exif[274] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    assert difference(read_picture(tmp_path / "a.png", "white").colour, scene()) == 0


def test_icc_profile_is_applied(tmp_path: Path) -> None:
    # sRGB with the red and green primaries exchanged: what such a file calls red, a person sees as green.
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)
    assert swapped != srgb
    scene().save(tmp_path / "a.png", icc_profile=swapped)
    red, green, blue = scene().split()
    assert difference(read_picture(tmp_path / "a.png", "white").colour, Image.merge("RGB", (green, red, blue))) <= 3


def test_broken_icc_profile_is_left_out_of_account(tmp_path: Path) -> None:
    scene().save(tmp_path / "a.png", icc_profile=b"not a profile")
    assert difference(read_picture(tmp_path / "a.png", "white").colour, scene()) == 0


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif", ".bmp", ".gif", ".png"])
def test_file_formats(tmp_path: Path, suffix: str) -> None:
    scene().save(tmp_path / f"a{suffix}", quality=95)
    seen = np.asarray(read_picture(tmp_path / f"a{suffix}", "white").colour).astype(int)
    assert np.abs(seen - np.asarray(scene())).mean() < 6


def test_cmyk_jpeg(tmp_path: Path) -> None:
    scene().convert("CMYK").save(tmp_path / "a.jpg", quality=95, subsampling=0)
    seen = np.asarray(read_picture(tmp_path / "a.jpg", "white").colour).astype(int)
    assert np.abs(seen - np.asarray(scene())).mean() < 4


@pytest.mark.parametrize(("kind", "suffix"), [("uint16", ".png"), ("uint16", ".tif"), ("float32", ".tif")])
def test_deep_grey_keeps_its_tones(tmp_path: Path, kind: str, suffix: str) -> None:
    ramp = np.tile(np.linspace(0, 1, SIZE[0], dtype=np.float32), (SIZE[1], 1))
    Image.fromarray(ramp if kind == "float32" else (ramp * 65535).astype(np.uint16)).save(tmp_path / f"a{suffix}")
    expected = Image.fromarray((ramp * 255).round().astype(np.uint8)).convert("RGB")
    assert difference(read_picture(tmp_path / f"a{suffix}", "white").colour, expected) <= 1


@pytest.mark.parametrize("mode", ["L", "P", "1"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    scene().convert(mode).save(tmp_path / "a.png")
    assert difference(read_picture(tmp_path / "a.png", "white").colour, scene().convert(mode).convert("RGB")) == 0


def test_transparency_shows_the_background_and_no_hidden_colours(tmp_path: Path) -> None:
    alpha = Image.new("L", SIZE, 0)
    alpha.paste(255, (10, 10, 60, 50))
    hidden = scene()
    hidden.putalpha(alpha)
    hidden.save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png", "#102030")
    assert picture.alpha is not None
    assert picture.alpha.tobytes() == alpha.tobytes()
    assert picture.colour.getpixel((70, 60)) == (0x10, 0x20, 0x30)
    assert picture.colour.getpixel((20, 30)) == scene().getpixel((20, 30))


def test_transparent_palette_and_grey(tmp_path: Path) -> None:
    grey = Image.new("LA", SIZE, (90, 255))
    grey.paste((90, 0), (0, 0, 20, 20))
    grey.save(tmp_path / "grey.png")
    palette = Image.new("P", SIZE, 1)
    palette.putpalette([255, 0, 0, 90, 90, 90])
    palette.paste(0, (0, 0, 20, 20))
    palette.save(tmp_path / "palette.png", transparency=0)
    for name in ("grey.png", "palette.png"):
        picture = read_picture(tmp_path / name, "white")
        assert picture.alpha is not None
        assert picture.colour.getpixel((5, 5)) == (255, 255, 255)
        assert picture.colour.getpixel((50, 50)) == (90, 90, 90)


def test_opaque_alpha_is_no_mask(tmp_path: Path) -> None:
    scene().convert("RGBA").save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png", "white").alpha is None


def test_broken_files_are_named(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8))
    noise.save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "zero.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    Image.new("RGBA", SIZE, (9, 9, 9, 0)).save(tmp_path / "clear.png")
    expected = {
        "cut.jpg": "broken or cut short",
        "zero.png": "an empty file",
        "text.png": "not a picture that can be read",
        "dot.png": "only 1 x 1 pixels",
        "clear.png": "wholly transparent",
    }
    for name, finding in expected.items():
        with pytest.raises(UserError) as error:
            read_picture(tmp_path / name, "white")
        (line,) = error.value.lines
        assert line.startswith(f"{tmp_path / name}: {finding}")


def test_decompression_bomb_is_refused(tmp_path: Path) -> None:
    # A real bomb: a file of 50 kB or so that would take 400 million pixels.
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    with pytest.raises(UserError, match=r"bomb\.png: more than 178 megapixels"):
        read_picture(tmp_path / "bomb.png", "white")


def test_masks(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    mask = Image.new("L", SIZE, 0)
    mask.paste(1, (4, 4, 30, 30))
    mask.save(tmp_path / "a.mask.png")
    read = read_mask(tmp_path / "a.mask.png", photo, SIZE)
    assert read.getextrema() == (0, 255)
    assert read.getbbox() == (4, 4, 30, 30)
    with pytest.raises(UserError, match=r"a\.mask\.png: is 80 x 64 pixels but a\.jpg is 80 x 65"):
        read_mask(tmp_path / "a.mask.png", photo, (80, 65))
    Image.new("RGB", SIZE).save(tmp_path / "a.mask.png")
    with pytest.raises(UserError, match=r"a\.mask\.png: black all over"):
        read_mask(tmp_path / "a.mask.png", photo, SIZE)

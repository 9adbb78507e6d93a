"""Reads a picture file of any common kind as what a person sees: upright, 8-bit, sRGB."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageColor, ImageOps, UnidentifiedImageError

from lapel.errors import UserError

SMALLEST_SIDE = 64
"""Pixels. A photo with a shorter side shows too little to learn a garment from."""


@dataclass
class Picture:
    """One photo: `colour` is RGB on the plain background, `alpha` (mode L) is None where nothing is transparent.

    `frames` is how many pictures the file holds, of which this is the first.
    """

    colour: Image.Image
    alpha: Image.Image | None
    frames: int = 1


def read_picture(path: Path, background: str) -> Picture:
    """Read a photo: EXIF orientation applied, ICC profile to sRGB, transparency composited onto `background`.

    Raises `UserError` for files that are empty, broken, not a picture, too large (Pillow's decompression bomb limit),
    too small, or wholly transparent.
    """
    image, frames = _upright(path)
    if min(image.size) < SMALLEST_SIDE:
        size = f"{image.width} x {image.height} pixels"
        raise UserError(f"{path}: only {size}; use a photo of at least {SMALLEST_SIDE} on each side")
    profile = image.info.get("icc_profile")
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        lowest, highest = alpha.getextrema()
        if highest == 0:
            raise UserError(f"{path}: wholly transparent; export it again with the garment visible, or remove it")
        if lowest == 255:
            alpha = None
        image = image.convert("RGB")
    colour = _to_srgb(_to_eight_bits(image), profile)
    if alpha is not None:
        plain = Image.new("RGB", colour.size, ImageColor.getrgb(background)[:3])
        colour = Image.composite(colour, plain, alpha)
    return Picture(colour, alpha, frames)


def read_mask(path: Path, photo: Path, size: tuple[int, int]) -> Image.Image:
    """Read the mask of `photo`, whose upright size is `size`: mode L, 255 where the garment is.

    A mask that holds only 0 and 1 is spread to 0 and 255. Raises `UserError` for a missing or broken file, another size
    than the photo's, or a mask that is black all over.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such mask; give one of {photo.name}, white where the garment is")
    mask, _ = _upright(path)
    if mask.size != size:
        is_size, wants = f"{mask.width} x {mask.height}", f"{size[0]} x {size[1]}"
        raise UserError(f"{path}: is {is_size} pixels but {photo.name} is {wants}; save the mask at the photo's size")
    mask = _to_eight_bits(mask).convert("L")
    _, highest = mask.getextrema()
    if highest == 0:
        raise UserError(f"{path}: black all over; paint the garment white, or remove the file to let lapel find it")
    return mask.point(lambda value: value * 255) if highest == 1 else mask


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture file, upright; `UserError` where it is none."""
    return _upright(path)[0].size


def _upright(path: Path) -> tuple[Image.Image, int]:
    """The decoded first frame of a picture file, turned as its EXIF orientation says, and how many frames there are."""
    if path.stat().st_size == 0:
        raise UserError(f"{path}: an empty file (0 bytes); copy it again or remove it")
    if path.suffix.lower() in (".heic", ".heif"):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    try:
        with warnings.catch_warnings():
            # Between Pillow's limit and twice that it only warns: such a photo is large, not an attack.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
            # A phone's MPO holds a preview or a depth map beside the photo: nothing to tell.
            frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            image.load()
            return ImageOps.exif_transpose(image), frames
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise UserError(f"{path}: more than {limit} megapixels; save it smaller") from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: not a picture that can be read; save it as JPEG or PNG, or remove it") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        # Pillow's decoders raise any of these for a broken file.
        raise UserError(f"{path}: broken or cut short ({error}); copy it again or remove it") from None


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Modes with more than 8 bits a channel (16-bit and float grey) as L; every other mode as it is."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image).astype(np.float64)
    # Integer files count to 65535; float files to 1, by custom, or to 255.
    top = 65535.0 if image.mode.startswith("I") else next(t for t in (1.0, 255.0, np.inf) if values.max() <= t)
    top = min(top, max(values.max(), 1.0)) if top == np.inf else top
    return Image.fromarray((np.clip(values / top, 0, 1) * 255).round().astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB in sRGB from any 8-bit mode; a profile that does not fit the picture is left out of account."""
    if image.mode in ("1", "P", "PA", "LA", "La", "YCbCr", "HSV", "RGBX", "RGBa"):
        image = image.convert("RGB")
    if image.mode == "LAB":
        return _converted(image, ImageCms.createProfile("LAB")) or image.convert("RGB")
    if profile:
        try:
            converted = _converted(image, ImageCms.getOpenProfile(io.BytesIO(profile)))
        except (OSError, ImageCms.PyCMSError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def _converted(image: Image.Image, profile: ImageCms.core.CmsProfile | ImageCms.ImageCmsProfile) -> Image.Image | None:
    try:
        # outputMode makes a new image, so the result is never None here.
        return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except ImageCms.PyCMSError:
        return None

"""Draws a part of a photo anew and leaves every other pixel as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lapel.errors import UserError
from lapel.generation.control import Control, guided
from lapel.generation.denoise import GarmentPhotos, Progress, generate
from lapel.generation.patch import Alpha, Patch, box_around, choose_patch, soften
from lapel.generation.picture import PictureSettings
from lapel.generation.regions import Regions, regional

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from lapel.base.base import Base

MaskedContent = Literal["original", "fill", "noise", "nothing", "sketch"]

SKETCH_STRENGTH = 0.7
"""Leaves of a sketch what is where, and draws the rest anew; `scripts/evaluate.py try_on` measures it."""


@dataclass
class InpaintSettings:
    """How a part of a photo is drawn anew, in the words of WebUI's inpainting."""

    strength: float | None = None
    """Denoising strength: 1 forgets what was under the mask, less keeps something of it. Unless given, 1, and 0.7 upon
    a sketch."""

    masked_content: MaskedContent = "original"
    """What is under the mask when denoising begins: the `original`, a `fill` of the colours around it, latent `noise`,
    latent `nothing`, or a `sketch`, in which the first photo of the garment, laid flat, is put on the body by `--pose`.
    At a strength of 1 it is noise anyway."""

    mask_grow: int = 0
    """Pixels of the photo by which the mask is made larger; negative ones make it smaller."""

    mask_feather: int = 8
    """Pixels of the photo over which the mask fades out. Beyond them nothing changes, not by one bit."""

    only_masked: bool = True
    """Draw the surroundings of the mask at the base's whole size, rather than the whole photo."""

    padding: int | None = None
    """Pixels of the photo around the mask that the base sees with `only_masked`. Unless given, two fifths of the
    mask's longer side: a base that does not see the head above the clothes draws another one."""

    def __post_init__(self) -> None:
        """Refuse what no pipeline can do.

        Raises:
            UserError: every finding, a line each.
        """
        findings = []
        if not 0 < self.denoising <= 1:
            findings.append(f"strength is {self.strength:g}; it must be above 0 and at most 1")
        for name in ("mask_feather", "padding"):
            if (getattr(self, name) or 0) < 0:
                findings.append(f"{name} is {getattr(self, name)}; it must be at least 0")
        if findings:
            raise UserError(*findings)

    @property
    def denoising(self) -> float:
        """The strength that is meant."""
        if self.strength is None:
            return SKETCH_STRENGTH if self.masked_content == "sketch" else 1.0
        return self.strength

    def alpha(self, mask: Image.Image, kept: Image.Image | None = None) -> Alpha:
        """How much of each pixel is drawn, by a mask (mode L) and what stays in any case (mode L)."""
        return soften(mask, self.mask_grow, self.mask_feather, kept)


@dataclass(frozen=True)
class Upon:
    """What a batch of images is drawn upon, for diffusers' inpainting pipelines."""

    latents: Tensor
    """(1, 4, h, w), in the UNet's scale: the patch, with the masked content in it."""
    around: Tensor
    """(1, 4, h, w): the patch with grey under the mask, which an inpainting base looks at."""
    cells: Any
    """PIL image, mode L: 255 where it is drawn."""
    strength: float
    noise: bool
    """Whether each image has noise of its own under the mask."""

    def arguments(self, seeds: Sequence[int]) -> dict[str, Any]:
        """The pipeline's arguments for a batch, one image for each seed."""
        import torch

        latents = self.latents.repeat(len(seeds), 1, 1, 1)
        if self.noise:
            drawn = torch.nn.functional.adaptive_max_pool2d(_tensor(self.cells), latents.shape[-2:]) > 0
            # Not the noise of the image's own seed, which the pipeline adds on top.
            own = [torch.Generator("cpu").manual_seed((seed + 1) % 2**63) for seed in seeds]
            noise = torch.cat([torch.randn(self.latents.shape, generator=generator) for generator in own])
            latents = torch.where(drawn.to(latents.device), noise.to(latents), latents)
        return {
            "image": latents,
            "mask_image": self.cells,
            "masked_image_latents": self.around.repeat(len(seeds), 1, 1, 1),
            "strength": self.strength,
        }


def inpaint(
    base: Base,
    pipeline: Any,
    picture: PictureSettings,
    photo: Image.Image,
    mask: Image.Image,
    settings: InpaintSettings,
    progress: Progress | None = None,
    photos: GarmentPhotos | None = None,
    controls: Sequence[Control] = (),
    kept: Image.Image | None = None,
    regions: Regions | None = None,
    sketch: Image.Image | None = None,
) -> list[Image.Image]:
    """Draw what the mask covers anew, one image for each of the picture's seeds, each of the photo's size.

    Where the mask, grown and feathered, is 0, every image equals the photo bit for bit.

    Args:
        base: whose VAE brings the photo to latents.
        pipeline: `base.pipeline("inpaint")`, wearing what is to be worn.
        photo: RGB, of any size and aspect.
        mask: mode L, of the photo's size; 255 where it is drawn.
        controls: whose maps are of the photo's size, or its aspect.
        kept: mode L, of the photo's size; what stays even where the mask fades out.
        regions: of the photo's size.
        sketch: RGB, of the photo's size: what denoising begins with in the photo's place.

    Raises:
        UserError: a mask of another size, or one that covers nothing, or nothing of a region, or fewer steps than the
            strength leaves any of.
    """
    if mask.size != photo.size:
        sizes = f"{mask.width} x {mask.height}, the photo {photo.width} x {photo.height}"
        raise UserError(f"the mask is {sizes}; both must have one size")
    alpha = settings.alpha(mask, kept)
    if not alpha.any():
        raise UserError("the mask is empty: nothing would be drawn; make it larger, or raise --mask_grow")
    if int(picture.steps * settings.denoising) < 1:
        raise UserError(f"{picture.steps} steps at a strength of {settings.denoising:g} leave none; raise either")
    patch = patch_of(base, picture, photo.size, alpha, settings)
    sized = dataclasses.replace(picture, width=patch.size[0], height=patch.size[1])
    upon = _upon(base, patch, photo if sketch is None else sketch, patch.cells(alpha, base.latent_stride), settings)
    cut = [dataclasses.replace(control, map=patch.cut_map(control.map, photo.size)) for control in controls]
    bound = regions.cut(patch, alpha) if regions else Regions(patch.size)
    with guided(pipeline, cut, patch.size), regional(pipeline, bound):
        drawn = generate(pipeline, sized, progress, photos, upon)
    return [patch.put_back(photo, image, alpha) for image in drawn]


def patch_of(
    base: Base, picture: PictureSettings, size: tuple[int, int], alpha: Alpha, settings: InpaintSettings
) -> Patch:
    """The part of a photo of that size (width, height) that is drawn, where `alpha` (h, w), not all 0, says."""
    around = box_around(alpha, settings.padding) if settings.only_masked else (0, 0, *size)
    return choose_patch(around, size, base.resolution, base.multiple, (picture.width, picture.height))


def _upon(base: Base, patch: Patch, photo: Image.Image, cells: Any, settings: InpaintSettings) -> Upon:
    """The patch as latents, with its masked content."""
    import torch
    from PIL import Image

    shown = patch.cut(photo)
    hidden = _tensor(Image.fromarray(cells))
    picture = _tensor(_filled(shown, cells) if settings.masked_content == "fill" else shown) * 2 - 1
    latents, around = (base.encode_images(pixels)[0] for pixels in (picture, picture.masked_fill(hidden > 0.5, 0)))
    if settings.masked_content == "nothing":
        drawn = torch.nn.functional.adaptive_max_pool2d(hidden, latents.shape[-2:]) > 0
        latents = latents.masked_fill(drawn.to(latents.device), 0)
    noise = settings.masked_content == "noise"
    return Upon(latents, around, Image.fromarray(cells), settings.denoising, noise)


def _filled(image: Image.Image, cells: Any) -> Image.Image:
    """The image with what is around the mask drawn into it (Telea 2004; OpenCV's)."""
    import cv2
    import numpy as np
    from PIL import Image

    return Image.fromarray(cv2.inpaint(np.array(image), cells, 3, cv2.INPAINT_TELEA))


def _tensor(image: Image.Image) -> Tensor:
    """(1, c, h, w) from 0 to 1."""
    import numpy as np
    import torch

    pixels = torch.from_numpy(np.array(image)).float() / 255
    return (pixels[..., None] if pixels.ndim == 2 else pixels).permute(2, 0, 1)[None]

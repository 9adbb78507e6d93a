"""Colourway swap: the garment painted onto a person who wears another colourway of it, with the truth known pixel for
pixel."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

    from lapel.generation import GarmentPhotos
    from lapel.wardrobe import Garment

SIZE = 96
"""Pixels of a side: `tiny`'s own, and its image tower's."""

_SCENES = ("park", "street")
_FIRST_SHOT = 820_000


@dataclass(frozen=True)
class Swap:
    """A person in another colourway, and the same person in the garment."""

    scene: str
    before: npt.NDArray[np.uint8]
    """(size, size, 3) sRGB: what is painted on."""
    truth: npt.NDArray[np.uint8]
    """(size, size, 3) sRGB: what is wanted. Outside `mask` it is `before`."""
    again: npt.NDArray[np.uint8]
    """(size, size, 3) sRGB: the truth with other folds, as another photo of the same pose has them."""
    mask: npt.NDArray[np.bool_]
    """(size, size): every pixel that shows any of the garment."""
    inside: npt.NDArray[np.bool_]
    """(size, size): the pixels that show the garment by half and more, by which colours are told."""


def swaps_of(garment: Garment, count: int) -> list[Swap]:
    """So many people, each in a colourway of its own: a function of the arguments."""
    from lapel.fidelity.gallery import colourways
    from lapel.wardrobe import photograph, sample_shot
    from lapel.wardrobe.draws import Draws

    swaps = []
    others = colourways(garment)
    for number in range(count):
        scene = _SCENES[number % len(_SCENES)]
        shot = sample_shot(_FIRST_SHOT + number, garment, "worn", scene)
        other = others[Draws(garment.seed + number, stream=10).integer(len(others))]
        folded = dataclasses.replace(shot, folds=shot.folds + 1)
        before, truth, again = (
            photograph(who, how, SIZE) for who, how in ((other, shot), (garment, shot), (garment, folded))
        )
        swaps.append(Swap(scene, before.image, truth.image, again.image, truth.mask > 0, truth.mask >= 128))
    return swaps


def paint(
    pipeline: Any, swap: Swap, prompt: str, photos: GarmentPhotos | None, steps: int, guidance: float, seed: int
) -> Image.Image:
    """Paint inside a swap's mask with diffusers' stock inpainting pipeline over the parts of `pipeline`.

    What the pipeline gives outside the mask has been through the VAE; the picture's own pixels take its place, as in
    every front end.
    """
    import torch
    from diffusers import AutoPipelineForInpainting
    from PIL import Image

    painter = AutoPipelineForInpainting.from_pipe(pipeline)
    painter.set_progress_bar_config(disable=True)
    painted = painter(
        prompt=prompt,
        image=Image.fromarray(swap.before),
        mask_image=Image.fromarray(in_cells(swap.mask, painter.vae_scale_factor).astype(np.uint8) * 255),
        height=SIZE,
        width=SIZE,
        strength=1.0,
        num_inference_steps=steps,
        guidance_scale=guidance,
        generator=torch.Generator("cpu").manual_seed(seed),
        **_embeds(pipeline, photos),
    ).images[0]
    return Image.fromarray(np.where(swap.mask[..., None], np.asarray(painted), swap.before))


def in_cells(mask: npt.NDArray[np.bool_], stride: int) -> npt.NDArray[np.bool_]:
    """The mask (h, w) in whole latents of `stride` pixels: a latent that shows any of it is painted."""
    height, width = mask.shape
    cells = mask.reshape(height // stride, stride, width // stride, stride).any(axis=(1, 3))
    return cells.repeat(stride, axis=0).repeat(stride, axis=1)


def swap_figures(swaps: Sequence[Swap], painted: Sequence[Sequence[Image.Image]]) -> dict[str, float]:
    """How near painted pictures, a list for each swap, come to the truth: means, and the most that differs outside."""
    from lapel.fidelity.likeness import difference_outside

    pairs = [(swap, np.asarray(image)) for swap, images in zip(swaps, painted, strict=True) for image in images]
    near = [_nearness(swap, image) for swap, image in pairs]
    return {
        "swap_ssim": float(np.mean([ssim for ssim, _ in near])),
        "swap_colour": float(np.mean([colour for _, colour in near])),
        "swap_outside": max(difference_outside(image, swap.before, swap.mask) for swap, image in pairs),
    }


def untouched_figures(swaps: Sequence[Swap]) -> dict[str, float]:
    """The same of pictures that are left as they were: what a method must beat."""
    near = [_nearness(swap, swap.before) for swap in swaps]
    return {
        "before_ssim": float(np.mean([ssim for ssim, _ in near])),
        "before_colour": float(np.mean([colour for _, colour in near])),
    }


def _nearness(swap: Swap, image: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Masked structural similarity, and delta E 2000 between dominant colours."""
    from lapel.fidelity import colour_difference, dominant_colours
    from lapel.fidelity.likeness import masked_ssim

    found, right = (dominant_colours([picture], [swap.inside]) for picture in (image, swap.truth))
    return masked_ssim(image, swap.truth, swap.mask), colour_difference(found, right).mean


def _embeds(pipeline: Any, photos: GarmentPhotos | None) -> dict[str, Any]:
    """What the garment encoder of a pipeline is shown for one image: for guidance, first nothing, then the garment."""
    import torch

    if photos is None:
        return {}
    both = torch.stack([photos.nothing.expand_as(photos.features), photos.features])
    return {"ip_adapter_image_embeds": [both.to(pipeline.unet.device, pipeline.unet.dtype)]}

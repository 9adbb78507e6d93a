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

    from lapel.base.base import Base
    from lapel.generation import GarmentPhotos, PictureSettings
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
    base: Base, pipeline: Any, swap: Swap, picture: PictureSettings, photos: GarmentPhotos | None
) -> list[Image.Image]:
    """Paint inside a swap's mask what the picture asks for, an image for each of its seeds.

    Args:
        base: whose parts `pipeline` has, in what is worn.
    """
    from diffusers import AutoPipelineForInpainting
    from PIL import Image

    from lapel.generation.inpaint import InpaintSettings, inpaint

    painter = AutoPipelineForInpainting.from_pipe(pipeline)
    photo, mask = Image.fromarray(swap.before), Image.fromarray(swap.mask.astype(np.uint8) * 255)
    how = InpaintSettings(mask_feather=0, only_masked=False)
    return inpaint(base, painter, picture, photo, mask, how, photos=photos)


def swap_figures(swaps: Sequence[Swap], painted: Sequence[Sequence[Image.Image]]) -> dict[str, float]:
    """How near painted pictures, a list for each swap, come to the truth: means, and the most that differs outside."""
    from lapel.fidelity.likeness import difference_outside

    pairs = [(swap, np.asarray(image)) for swap, images in zip(swaps, painted, strict=True) for image in images]
    near = _nearness(pairs)
    outside = max(difference_outside(image, swap.before, swap.mask) for swap, image in pairs)
    return {**{f"swap_{name}": value for name, value in near.items()}, "swap_outside": outside}


def untouched_figures(swaps: Sequence[Swap]) -> dict[str, float]:
    """The same of pictures that are left as they were: what a method must beat."""
    near = _nearness([(swap, swap.before) for swap in swaps])
    return {f"before_{name}": value for name, value in near.items()}


def _nearness(pairs: Sequence[tuple[Swap, npt.NDArray[np.uint8]]]) -> dict[str, float]:
    """Means over pictures: masked structural similarity, delta E 2000 between dominant colours, and LPIPS where it is
    at hand."""
    from lapel.fidelity import colour_difference, dominant_colours
    from lapel.fidelity.likeness import masked_ssim
    from lapel.fidelity.perceptual import is_at_hand, lpips_inside

    palettes = [[dominant_colours([one], [swap.inside]) for one in (image, swap.truth)] for swap, image in pairs]
    figures = {
        "ssim": [masked_ssim(image, swap.truth, swap.mask) for swap, image in pairs],
        "colour": [colour_difference(*both).mean for both in palettes],
    }
    if is_at_hand():
        figures["lpips"] = [lpips_inside(image, swap.truth, swap.mask) for swap, image in pairs]
    return {name: float(np.mean(values)) for name, values in figures.items()}

"""`tiny`'s inpainting variant: the same UNet that also looks at a mask and at the picture around it.

As the inpainting models of Stable Diffusion are made (Rombach et al., 2022): five channels of zeros are added to the
first layer, and the UNet is trained further on pictures of which a part is hidden.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

from lapel.base.families import INPAINTING_CHANNELS
from lapel.photos.people.pose import Pose
from lapel.photos.people.shape import LENGTHS, SLEEVES, Shape, area, body_of, head
from lapel.training.pretraining.loop import Recipe, train
from lapel.training.pretraining.pool import CHUNK, Drawn, draw_once, single
from lapel.training.pretraining.unet import Encoded, denoising_loss
from lapel.wardrobe import PARSING, Photograph, photograph, sample_garment, sample_shot

FLAT = 4
"""One photo of so many is of any view; the others are worn, where clothes are changed."""

ALL, BRUSHED = 0.2, 0.2
"""Shares of photos that are hidden whole, as for text to image, and under a few strokes; of the others it is the
garment, with whatever another one might cover."""

GREY = 128
"""What is shown where a picture is hidden: about 0 between -1 and 1."""


@dataclass(frozen=True)
class Hidden:
    """Photos of which a part is hidden, by number, mapped from disk."""

    images: np.ndarray
    """(n, size, size, 3) uint8."""
    masks: np.ndarray
    """(n, side, side) uint8: 1 for each latent that is hidden."""
    captions: list[str]

    def around(self) -> np.ndarray:
        """(n, size, size, 3) uint8: the photos with grey where they are hidden."""
        stride = self.images.shape[1] // self.masks.shape[1]
        pixels = np.array(self.images)
        pixels[self.masks.repeat(stride, 1).repeat(stride, 2) > 0] = GREY
        return pixels


def draw_hidden(folder: Path, count: int, size: int, stride: int, workers: int) -> Hidden:
    """Draw `count` photos of the training split and what is hidden of them, or open those of an earlier call.

    Photo and mask i are a pure function of i.
    """
    draw = functools.partial(_draw_chunk, size, stride)
    arrays, captions = draw_once(folder, f"hidden-{count}-{size}", count, workers, draw)
    return Hidden(**arrays, captions=captions)


def _draw_chunk(size: int, stride: int, start: int) -> Drawn:
    photos, masks = [], []
    for number in range(start, start + CHUNK):
        garment = sample_garment(number)
        subject = single(number) if number % FLAT == 0 else (garment, sample_shot(number, garment, "worn"))
        photos.append(photograph(*subject, size))
        hidden = hidden_of(photos[-1], np.random.default_rng(number))
        side = size // stride
        masks.append(hidden.reshape(side, stride, side, stride).max(axis=(1, 3)))
    arrays = {"images": np.stack([photo.image for photo in photos]), "masks": np.stack(masks)}
    return arrays, [photo.caption for photo in photos]


def hidden_of(photo: Photograph, rng: np.random.Generator) -> np.ndarray:
    """(h, w) uint8, 1 where a photo is hidden; nowhere empty."""
    size = photo.mask.shape[0]
    draw = rng.random()
    if draw < ALL:
        return np.ones((size, size), np.uint8)
    hidden = _strokes(size, rng) if draw < ALL + BRUSHED else _change(photo, rng)
    return hidden if hidden.any() else np.ones((size, size), np.uint8)


def _strokes(size: int, rng: np.random.Generator) -> np.ndarray:
    canvas = np.zeros((size, size), np.uint8)
    for _ in range(rng.integers(1, 4)):
        points = rng.integers(0, size, (rng.integers(2, 5), 1, 2)).astype(np.int32)
        cv2.polylines(canvas, [points], False, 1, int(rng.integers(size // 12, size // 3)))
    return canvas


def _change(photo: Photograph, rng: np.random.Generator) -> np.ndarray:
    """The garment, loosely; of a person, with what a garment of any other shape would cover, and without the head."""
    size = photo.mask.shape[0]
    reach = 2 * int(rng.integers(1, size // 12)) + 1
    hidden: np.ndarray = cv2.dilate((photo.mask >= 128).astype(np.uint8), np.ones((reach, reach), np.uint8))
    pose = Pose(photo.keypoints, (size, size)) if photo.keypoints.any() else None
    body = body_of(pose) if pose else None
    if pose is None or body is None:
        return hidden
    part = str(rng.choice(["upper", "upper", "whole", "skirt", "legs"]))
    shape = Shape(part, float(rng.choice(list(SLEEVES.values()))), float(rng.choice(list(LENGTHS.values()))))
    hidden |= area(shape, body, (size, size)).astype(np.uint8)
    of_head = head(pose, body) & np.isin(photo.parsing, [PARSING["skin"], PARSING["hair"]])
    hidden[of_head] = 0
    return hidden


def make_inpainting(unet: Any) -> Any:
    """A `UNet2DConditionModel` that takes mask and surroundings too, and does as `unet` does, whatever they are."""
    from diffusers import UNet2DConditionModel

    # Without notes of where it was read from.
    config = {name: value for name, value in unet.config.items() if not name.startswith("_")}
    wider = UNet2DConditionModel.from_config({**config, "in_channels": INPAINTING_CHANNELS})
    weights = unet.state_dict()
    first = weights["conv_in.weight"]
    more = first.new_zeros(first.shape[0], INPAINTING_CHANNELS - first.shape[1], *first.shape[2:])
    wider.load_state_dict({**weights, "conv_in.weight": torch.cat([first, more], dim=1)})
    return wider


def train_inpainting(
    unet: Any, scheduler: Any, encoded: Encoded, hidden: Hidden, around: torch.Tensor, recipe: Recipe, folder: Path
) -> None:
    """Train the UNet of `make_inpainting`, in fp32 under autocast to bf16.

    Args:
        around: (n, 4, h, w) latents of `hidden.around()`, scaled.
    """
    unet.set_attn_processor(AttnProcessor())
    network = recipe.network(unet)
    masks = torch.from_numpy(np.array(hidden.masks))[:, None]

    def shown(numbers: torch.Tensor, _: int) -> torch.Tensor:
        return torch.cat([masks[numbers].float(), around[numbers].float()], dim=1)

    def predict(noisy: torch.Tensor, times: torch.Tensor, text: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        return network(torch.cat([noisy, seen], dim=1), times, text).sample

    train("inpainting", [unet], denoising_loss(predict, scheduler, encoded, recipe, shown), recipe, folder)
    unet.set_attn_processor(AttnProcessor2_0())

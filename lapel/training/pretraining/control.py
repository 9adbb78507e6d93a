"""`tiny`'s ControlNet (Zhang et al., 2023): people by their skeleton, by a parsing map, or by both in one picture."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

from lapel.photos.people.parsing import colours_of
from lapel.photos.people.pose import Pose, draw_pose
from lapel.training.pretraining.loop import Recipe, train
from lapel.training.pretraining.pool import CHUNK, Drawn, draw_once
from lapel.training.pretraining.unet import Encoded, denoising_loss
from lapel.wardrobe import photograph, sample_garment, sample_shot

WITHOUT_MAP = 0.05
"""Share of examples without a map, for guess mode and weights below 1."""


@dataclass(frozen=True)
class People:
    """Worn photos with their maps, by number; pictures are (n, size, size, 3) uint8, mapped from disk."""

    images: np.ndarray
    skeletons: np.ndarray
    """In OpenPose's colours, on black."""
    parsing: np.ndarray
    """In the palette of `lapel.photos.people.parsing`."""
    captions: list[str]

    def maps(self, numbers: torch.Tensor, step: int) -> torch.Tensor:
        """(n, 3, size, size) fp32 in 0 to 1: for each example its skeleton, its parsing map, the one on the other, or
        nothing, drawn by lot: a pure function of the step."""
        draws = torch.rand(len(numbers), generator=torch.Generator().manual_seed(step + 9_000_000))
        places = numbers.numpy()
        skeleton, parsing = self.skeletons[places], self.parsing[places]
        both = np.where(skeleton.any(axis=3, keepdims=True), skeleton, parsing)
        pictures = np.zeros_like(both)
        third = (1 - WITHOUT_MAP) / 3
        for place, draw in enumerate(draws.tolist()):
            if draw < 3 * third:
                pictures[place] = (skeleton, parsing, both)[min(int(draw / third), 2)][place]
        return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def draw_people(folder: Path, count: int, size: int, workers: int) -> People:
    """Draw `count` worn photos of the training split with their maps, or open those of an earlier call."""
    draw = functools.partial(_draw_chunk, size)
    arrays, captions = draw_once(folder, f"people-{count}-{size}", count, workers, draw)
    return People(**arrays, captions=captions)


def _draw_chunk(size: int, start: int) -> Drawn:
    photos = []
    for number in range(start, start + CHUNK):
        garment = sample_garment(number)
        photos.append(photograph(garment, sample_shot(number, garment, "worn"), size))
    arrays = {
        "images": np.stack([photo.image for photo in photos]),
        "skeletons": np.stack([np.asarray(draw_pose(Pose(photo.keypoints, (size, size)))) for photo in photos]),
        "parsing": np.stack([colours_of(photo.parsing) for photo in photos]),
    }
    return arrays, [photo.caption for photo in photos]


def make_control(unet: Any) -> Any:
    """A `ControlNetModel` that does nothing yet: the UNet's own encoder, and layers of zeros."""
    from diffusers import ControlNetModel

    # Every further width halves the map's side, down to that of the latents: a quarter of the picture's.
    return ControlNetModel.from_unet(unet, conditioning_channels=3, conditioning_embedding_out_channels=(16, 32, 96))


def train_control(
    control: Any, unet: Any, scheduler: Any, encoded: Encoded, people: People, recipe: Recipe, folder: Path
) -> None:
    """Train the ControlNet on a frozen UNet, both in fp32 under autocast to bf16."""
    unet.requires_grad_(False)
    for network in (control, unet):
        network.set_attn_processor(AttnProcessor())
    guide, draw = recipe.network(control), recipe.network(unet)

    def predict(noisy: torch.Tensor, times: torch.Tensor, text: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        down, middle = guide(noisy, times, text, maps, return_dict=False)
        residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        return draw(noisy, times, text, **residuals).sample

    loss = denoising_loss(predict, scheduler, encoded, recipe, people.maps)
    train("control", [control], loss, recipe, folder)
    control.set_attn_processor(AttnProcessor2_0())

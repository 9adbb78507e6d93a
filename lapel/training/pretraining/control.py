"""`tiny`'s ControlNet (Zhang et al., 2023): people by their skeleton, by a parsing map, or by both in one picture."""

from __future__ import annotations

import functools
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0
from tqdm import tqdm

from lapel.files import written_whole
from lapel.photos.people.parsing import colours_of
from lapel.photos.people.pose import Pose, draw_pose
from lapel.training.pretraining.loop import Recipe, train
from lapel.training.pretraining.unet import Encoded, denoising_loss
from lapel.wardrobe import photograph, sample_garment, sample_shot

CHUNK = 500

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
    names = ("images", "skeletons", "parsing")
    files = {name: folder / f"people-{count}-{size}-{name}.npy" for name in names}
    words = folder / f"people-{count}-{size}.json"
    if not words.exists():
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {
            name: np.lib.format.open_memmap(file, "w+", np.uint8, (count, size, size, 3))
            for name, file in files.items()
        }
        captions: list[str] = []
        starts = range(0, count, CHUNK)
        with ProcessPoolExecutor(workers) as processes:
            parts = processes.map(functools.partial(_draw_chunk, size), starts)
            for start, part in zip(starts, tqdm(parts, "draw people", len(starts)), strict=True):
                stop = min(start + CHUNK, count)
                for name, array in arrays.items():
                    array[start:stop] = getattr(part, name)[: stop - start]
                captions += part.captions[: stop - start]
        for array in arrays.values():
            array.flush()
        with written_whole(words) as path:  # last: it says that the pictures are whole
            path.write_text(json.dumps(captions), encoding="utf-8")
    opened = {name: np.load(file, mmap_mode="r") for name, file in files.items()}
    return People(**opened, captions=json.loads(words.read_text(encoding="utf-8")))


def _draw_chunk(size: int, start: int) -> People:
    photos = []
    for number in range(start, start + CHUNK):
        garment = sample_garment(number)
        photos.append(photograph(garment, sample_shot(number, garment, "worn"), size))
    skeletons = [np.asarray(draw_pose(Pose(photo.keypoints, (size, size)))) for photo in photos]
    return People(
        np.stack([photo.image for photo in photos]),
        np.stack(skeletons),
        np.stack([colours_of(photo.parsing) for photo in photos]),
        [photo.caption for photo in photos],
    )


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

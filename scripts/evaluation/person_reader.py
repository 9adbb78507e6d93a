"""A small network that reads people's joints and parsing maps off pictures like the wardrobe's, for measurements.

It learns on drawn people, as they are and as `tiny`'s VAE gives them back, with noise on the latents, so that it also
reads what `tiny` draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from lapel.base.base import Base
from lapel.training.pretraining.loop import Recipe, batch_of, train
from lapel.wardrobe import KEYPOINTS, PARSING, Photograph, photograph, sample_garment, sample_shot

SIDE = 96
"""Pixels of the pictures, as `tiny` draws them."""
NOISE = 0.3
"""The most noise on latents, of standard deviation 1, before they are decoded to learn from."""
UNTOUCHED = 0.3
"""The share of pictures to learn from that are as they were drawn."""
BATCH = 16
FIRST_SEED = 9_000_000
_AROUND = 2
"""Cells around the likeliest one that a joint's place is averaged over."""


@dataclass(frozen=True)
class Drawn:
    """People with what is known of them."""

    images: Tensor
    """(n, 3, SIDE, SIDE) uint8."""
    parsing: Tensor
    """(n, SIDE, SIDE) int64, classes of `PARSING`."""
    joints: Tensor
    """(n, 18, 2) x and y in pixels."""

    def __getitem__(self, rows: Tensor) -> Drawn:
        return Drawn(self.images[rows], self.parsing[rows], self.joints[rows])

    @property
    def seen(self) -> Tensor:
        """(n, 18) whether a joint lies in the picture."""
        return ((self.joints >= 0) & (self.joints < SIDE)).all(dim=-1)


def people(first_seed: int, count: int, split: Any) -> list[Photograph]:
    """Worn photos of garments of the split, a pure function of the numbers."""
    garments = [sample_garment(first_seed + number, split) for number in range(count)]
    shots = [sample_shot(first_seed + number, garment, "worn") for number, garment in enumerate(garments)]
    pairs = tqdm(zip(garments, shots, strict=True), "draw people", count, mininterval=1)
    return [photograph(garment, shot, SIDE) for garment, shot in pairs]


def as_drawn(photos: Sequence[Photograph]) -> Drawn:
    """Photographs as tensors."""
    return Drawn(
        torch.from_numpy(np.stack([photo.image for photo in photos])).permute(0, 3, 1, 2).contiguous(),
        torch.from_numpy(np.stack([photo.parsing for photo in photos])).long(),
        torch.from_numpy(np.stack([photo.keypoints[:, :2] for photo in photos])),
    )


@torch.no_grad()
def through_vae(base: Base, images: Tensor, noise: float, seed: int = 0) -> Tensor:
    """Pictures (n, 3, SIDE, SIDE) uint8 as the base's VAE gives them back, with up to so much noise on the latents."""
    draws, parts = torch.Generator().manual_seed(seed), []
    for some in tqdm(images.split(50), "through the VAE", mininterval=1):
        mean, _ = base.encode_images(some.float() / 127.5 - 1)
        strength = noise * torch.rand(len(some), 1, 1, 1, generator=draws)
        latents = mean + strength * torch.randn(mean.shape, generator=draws)
        pixels = base.vae.decode((latents / base.vae.config.scaling_factor).to(base.vae.dtype)).sample
        parts.append(((pixels.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8))
    return torch.cat(parts)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)),
            *(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class PersonReader(nn.Module):
    """A U-Net (Ronneberger et al., 2015) on half the picture's side; about 0.7 million weights."""

    def __init__(self, widths: Sequence[int] = (24, 48, 64, 96)) -> None:
        super().__init__()
        steps = list(zip((3, *widths), widths, strict=False))
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, width, 3, stride=2, padding=1), _Block(width)) for before, width in steps
        )
        self.middle = _Block(widths[-1])
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width + before, before, 3, padding=1), _Block(before))
            for before, width in reversed(steps[1:])
        )
        self.head = nn.Conv2d(widths[0], len(PARSING) + len(KEYPOINTS), 3, padding=1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, SIDE, SIDE) uint8 to scores: (n, classes, SIDE, SIDE) of classes, (n, 18, cells, cells) of joints."""
        x, passed = images.float() / 127.5 - 1, []
        for layers in self.down:
            x = layers(x)
            passed.append(x)
        x = self.middle(passed.pop())
        for layers in self.up:
            whole = F.interpolate(x, scale_factor=2, mode="nearest")
            x = layers(torch.cat([whole, passed.pop()], dim=1))
        classes, joints = self.head(x).float().split([len(PARSING), len(KEYPOINTS)], dim=1)
        return F.interpolate(classes, scale_factor=2, mode="bilinear"), joints

    @torch.no_grad()
    def read(self, images: Tensor) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        """Parsing maps (n, SIDE, SIDE) and joints (n, 18, 2) in pixels of pictures (n, 3, SIDE, SIDE) uint8."""
        parts = [self(some) for some in images.split(50)]
        classes = torch.cat([part[0].argmax(dim=1) for part in parts]).to(torch.uint8)
        return classes.numpy(), _places(torch.cat([part[1] for part in parts])).numpy()


def _places(scores: Tensor) -> Tensor:
    """(n, joints, 2) in pixels: the middle of what is likely around the likeliest cell of (n, joints, cells, cells)."""
    side = scores.shape[-1]
    likely = scores.flatten(2).softmax(dim=-1)
    best = likely.argmax(dim=-1)
    rows, columns = best // side, best % side
    axis = torch.arange(side)
    near = ((axis - rows[..., None]).abs() <= _AROUND)[..., :, None] & ((axis - columns[..., None]).abs() <= _AROUND)[
        ..., None, :
    ]
    weights = likely.unflatten(-1, (side, side)) * near
    weights = weights / weights.sum(dim=(-2, -1), keepdim=True)
    cells = torch.stack([weights.sum(dim=-2) @ axis.float(), weights.sum(dim=-1) @ axis.float()], dim=-1)
    return (cells + 0.5) * SIDE / side


def train_reader(base: Base, folder: Path, photos: int, steps: int) -> PersonReader:
    """Train a reader, or read the one that was trained into `folder`; one that was stopped goes on."""
    torch.manual_seed(0)
    reader = PersonReader()
    # Drawn on the first step: a finished training needs none of them.
    pool: list[tuple[Drawn, Tensor]] = []

    def loss_of(step: int) -> Tensor:
        if not pool:
            drawn = as_drawn(people(FIRST_SEED, photos, "train"))
            pool.append((drawn, through_vae(base, drawn.images, NOISE)))
        drawn, decoded = pool[0]
        rows = batch_of(step, BATCH, photos, seed=1)
        plain = torch.rand(BATCH, generator=torch.Generator().manual_seed(step)) < UNTOUCHED
        some = drawn[rows]
        images = torch.where(plain[:, None, None, None], some.images, decoded[rows])
        with torch.autocast("cpu", torch.bfloat16):
            classes, joints = reader(images)
        return F.cross_entropy(classes, some.parsing) + 0.1 * _joint_loss(joints, some)

    train("reader", [reader], loss_of, Recipe(steps, BATCH, learning_rate=2e-3), folder)
    return reader.eval().requires_grad_(False)


def _joint_loss(scores: Tensor, drawn: Drawn) -> Tensor:
    """The cross-entropy of each joint's cell, over those in the picture."""
    side = scores.shape[-1]
    cells = (drawn.joints * side / SIDE).long().clamp(0, side - 1)
    seen = drawn.seen
    return F.cross_entropy(scores.flatten(2)[seen], (cells[..., 1] * side + cells[..., 0])[seen])

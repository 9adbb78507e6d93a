"""Photos and captions encoded once, and the batches that are drawn from them.

What a step sees is a pure function of (seed, step): no random state has to survive an interruption, and the examples of
a step are the same however many processes share them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Example:
    """One encoded photo, as it is or put on a backdrop; those on backdrops follow the photo that they are made of.

    `mean` and `std` (c, h, w) are the posterior of its latent, scaled as the UNet wants it; `mask` (1, h, w) is the
    garment's share of each latent pixel, 0 to 1.
    """

    file: str
    caption: str
    mean: Tensor
    std: Tensor
    mask: Tensor
    on_backdrop: bool = False
    around: Tensor | None = None
    """(ways, 5, h, w): for an inpainting base, the ways in which it is hidden, first wholly; see `Batch`."""


@dataclass(frozen=True)
class Batch:
    """The examples of one forward pass.

    `latents` and `noise` are (n, c, h, w), `mask` (n, 1, h, w), `timesteps` and `captions` (n,): the captions are
    numbers of rows in `Batches.captions`; `dropped` are the examples for which that does not name the garment, known to
    the processor, which does not wait for an accelerator to tell.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    mask: Tensor
    captions: Tensor
    dropped: list[int]
    files: list[str]
    around: Tensor | None = field(default=None, kw_only=True)
    """(n, 5, h, w): what an inpainting base is shown beside the noised latents, the mask of what is hidden, and the
    latents of the picture around that."""

    def seen(self, noised: Tensor) -> Tensor:
        """What the UNet is given, for noised latents (n, 4, h, w)."""
        return noised if self.around is None else torch.cat([noised, self.around], dim=1)


class Drawing:
    """What all batches are drawn with: their share among processes, buckets, photos, timesteps and noise.

    Args:
        seed, batch_size: as in OptimizerSettings; `batch_size` photos in each process.
        timesteps: how many the objective has.
        rank, world: which of how many processes this is. All of them together see one batch of `world * batch_size`.
    """

    def __init__(
        self,
        *,
        seed: int,
        batch_size: int,
        timesteps: int,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.seed, self.timesteps = seed, timesteps
        self.size, self.share = batch_size * world, slice(rank * batch_size, (rank + 1) * batch_size)
        self.device = torch.device(device)

    def draw_bucket(self, counts: Sequence[int], chance: torch.Generator) -> int:
        """The number of a bucket, each as likely as it has photos."""
        return int(torch.multinomial(torch.tensor(counts, dtype=torch.float), 1, generator=chance))

    def draw_rows(self, count: int, chance: torch.Generator) -> Tensor:
        """Photos of a bucket of `count`: none twice before all were there once."""
        rounds = -(-self.size // count)
        return torch.cat([torch.randperm(count, generator=chance) for _ in range(rounds)])[: self.size]

    def draw_timesteps(self, chance: torch.Generator) -> Tensor:
        """One from each of as many equal ranges as there are examples, in random order.

        Each is uniform over all timesteps, as independent draws are, but the loss varies less from step to step.
        """
        ranges = torch.randperm(self.size, generator=chance) + torch.rand(self.size, generator=chance)
        return (ranges * (self.timesteps / self.size)).long().clamp(max=self.timesteps - 1)

    def draw_noises(self, shape: Sequence[int], step: int, part: int) -> Tensor:
        """This process's share of two standard normal tensors of `shape` (c, h, w) an example: (2, n, c, h, w)."""
        # Drawn on the device, so that nothing is copied, and for the whole batch, so that the processes' shares differ.
        chance = generator(self.seed, step, part, self.device)
        return torch.randn((2, self.size, *shape), device=self.device, generator=chance)[:, self.share]


class Batches(Drawing):
    """Draws the batches of a run; each has photos of a single shape, and photos appear equally often on average.

    Args:
        examples: the encoded photos. They are kept on the device: a garment is a handful of photos.
        caption_dropout: share of examples with the empty caption.
        photo_share: how often a photo that has backdrops is seen as it is; else it is on one of them.
        text_to_image_share: how often a picture is hidden wholly where a base is shown what is around.
        class_share: share of examples with the caption that `of_class` has for theirs.
        of_class: captions without the trigger, by those of the examples.
        drawing: as for `Drawing`.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        *,
        caption_dropout: float = 0.0,
        photo_share: float = 0.5,
        text_to_image_share: float = 1.0,
        class_share: float = 0.0,
        of_class: Callable[[str], str] = str,
        **drawing: Any,
    ) -> None:
        super().__init__(**drawing)
        self.caption_dropout, self.photo_share = caption_dropout, photo_share
        self.text_to_image_share, self.class_share = text_to_image_share, class_share
        named = list(dict.fromkeys(example.caption for example in examples if example.caption))
        plain = [of_class(caption) for caption in named] if class_share else []
        self.captions = [*named, *plain, ""]
        """Every caption once, then, where they are wanted, those of the class in the same order; the last is the empty
        one."""
        self.named = len(named)
        """How many of the captions name the garment: the first ones."""
        shapes: dict[torch.Size, list[Example]] = {}
        for example in examples:
            shapes.setdefault(example.mean.shape, []).append(example)
        self.buckets = [_Bucket(bucket, self.captions, self.device) for bucket in shapes.values()]

    def draw(self, step: int, part: int = 0) -> Batch:
        """This process's share of the batch of a step; `part` counts the forward passes of gradient accumulation."""
        chance = generator(self.seed, step, part)
        bucket = self.buckets[self.draw_bucket([len(bucket.first) for bucket in self.buckets], chance)]
        photos = self.draw_rows(len(bucket.first), chance)
        timesteps = self.draw_timesteps(chance)
        empty = torch.rand(self.size, generator=chance) < self.caption_dropout
        rows = bucket.first[photos] + self._backdrops(bucket.backdrops[photos], chance)
        posterior, noise = self.draw_noises(bucket.mean.shape[1:], step, part)
        mine = rows[self.share].to(self.device)
        around = None
        if bucket.around is not None:
            around = bucket.around[mine, self._hidings(bucket.around.shape[1], chance)[self.share].to(self.device)]
        captions, dropped = self._left_out(bucket.captions[rows], empty, chance)
        return Batch(
            latents=torch.addcmul(bucket.mean[mine], bucket.std[mine], posterior),
            noise=noise,
            timesteps=timesteps[self.share].to(self.device),
            mask=bucket.mask[mine],
            captions=captions[self.share].to(self.device),
            dropped=dropped[self.share].nonzero()[:, 0].tolist(),
            files=[bucket.files[row] for row in rows[self.share].tolist()],
            around=around,
        )

    def _left_out(self, captions: Tensor, empty: Tensor, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        """(n,) each: the captions' numbers with some left out, and which are."""
        of_class = torch.zeros_like(empty)
        if self.class_share:
            of_class = (torch.rand(self.size, generator=chance) < self.class_share) & (captions < self.named)
        left_out = (captions + self.named * of_class).masked_fill(empty, len(self.captions) - 1)
        return left_out, empty | of_class

    def _hidings(self, ways: int, chance: torch.Generator) -> Tensor:
        """(n,): in which of so many ways each example is hidden; 0 is wholly."""
        partly = torch.rand(self.size, generator=chance) >= self.text_to_image_share
        return torch.randint(1, ways, (self.size,), generator=chance) * partly

    def _backdrops(self, counts: Tensor, chance: torch.Generator) -> Tensor:
        """For photos with so many backdrops (n,): 0 for the photo as it is, else the number of one of them."""
        as_it_is = torch.rand(self.size, generator=chance) < self.photo_share
        drawn = 1 + (torch.rand(self.size, generator=chance) * counts).long().clamp(max=counts - 1)
        return drawn.masked_fill(as_it_is | (counts == 0), 0)


class _Bucket:
    """The examples of one shape, stacked: mean, std (n, c, h, w), mask (n, 1, h, w), rows of captions (n,); `around`
    (n, ways, 5, h, w), or None.

    `first` (m,) is the row of each photo as it is, and `backdrops` (m,) the number of those after it on backdrops.
    """

    def __init__(self, examples: Sequence[Example], captions: list[str], device: torch.device) -> None:
        self.files = [example.file for example in examples]
        self.mean = torch.stack([example.mean for example in examples]).to(device)
        self.std = torch.stack([example.std for example in examples]).to(device)
        self.mask = torch.stack([example.mask for example in examples]).to(device)
        around = [example.around for example in examples if example.around is not None]
        self.around = torch.stack(around).to(device) if around else None
        self.captions = torch.tensor([captions.index(example.caption) for example in examples])
        self.first = torch.tensor([row for row, example in enumerate(examples) if not example.on_backdrop])
        ends = torch.cat([self.first[1:], torch.tensor([len(examples)])])
        self.backdrops = ends - self.first - 1


def generator(seed: int, step: int, part: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A random stream of its own for every (seed, step, part)."""
    state = np.random.SeedSequence([seed, step, part]).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0]))

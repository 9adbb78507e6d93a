"""Pairs of photos of one garment: one that the image tower is shown, and one that the UNet learns to draw from it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lapel.training.data import Batch, Drawing, generator

if TYPE_CHECKING:
    from lapel.photos.catalogue import Catalogue
    from lapel.training.encoding import Encoded


@dataclass(frozen=True)
class PairBatch(Batch):
    """The examples of one forward pass."""

    features: Tensor
    """(n, tokens, c) or (n, d): the image tower's of the photos shown; where there is none, of no photo."""
    shown: list[str]
    """Which photos were shown, "" for none."""
    described: Tensor
    """(n,): the number of the caption that describes the garment's looks too; where no photo is shown, `captions`."""
    taught: Tensor
    """(n,) bool: whether that tells what the photo adds; not where the garment has no description."""
    aligning: bool
    """Whether the step is one of the first, that learn from descriptions."""


@dataclass(frozen=True)
class Dropouts:
    """Shares of the examples, 0 to 1, that lack the photo, the caption, or both."""

    image: float = 0.0
    text: float = 0.0
    both: float = 0.0

    def draw(self, size: int, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        """Where the photo is left out, and where the caption is: (size,) bool each."""
        place = torch.rand(size, generator=chance)
        both = place < self.both
        image = both | ((place >= self.both) & (place < self.both + self.image))
        text = both | ((place >= self.both + self.image) & (place < self.both + self.image + self.text))
        return image, text


class PairBatches(Drawing):
    """Draws the batches of a catalogue; each has targets of a single shape.

    Args:
        catalogue: its photos, by row.
        latents, features: of the same rows, as `encode_latents` and `encode_cutouts` give them.
        nothing: what the image tower gives for no photo.
        dropouts: what is left out for guidance.
        align_steps: how many steps, the first ones, learn from descriptions.
        drawing: as for `Drawing`.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        latents: Encoded,
        features: Encoded,
        nothing: Tensor,
        dropouts: Dropouts,
        align_steps: int = 0,
        **drawing: Any,
    ) -> None:
        super().__init__(**drawing)
        self.latents, self.features, self.nothing, self.dropouts = latents, features, nothing, dropouts
        self.align_steps = align_steps
        columns = {name: list(catalogue.photos[name]) for name in ("garment", "view", "file", "caption", "described")}
        self.files: list[str] = columns["file"]
        used = [*columns["caption"], *(columns["described"] if align_steps else [])]
        self.captions = [*dict.fromkeys(caption for caption in used if caption), ""]
        """Every caption once; the last is the empty one."""
        numbers = {caption: number for number, caption in enumerate(self.captions)}
        self.numbers = torch.tensor([numbers[caption] for caption in columns["caption"]])
        self.described = torch.tensor([numbers[text] for text in columns["described"]]) if align_steps else self.numbers
        self.partners = partners(columns["garment"], columns["view"])
        shapes: dict[tuple[int, int], list[int]] = {}
        for row, size in enumerate(zip(catalogue.photos["width"], catalogue.photos["height"], strict=True)):
            shapes.setdefault(size, []).append(row)
        self.buckets = [torch.tensor(rows) for rows in shapes.values()]

    @property
    def width(self) -> int:
        """Of the image tower's features."""
        return self.nothing.shape[-1]

    @property
    def name(self) -> str:
        """Of what is learned from: latents, features and captions by their content."""
        numbers = [self.numbers.tolist(), self.described.tolist()]
        captions = hashlib.sha256(repr([self.captions, *numbers]).encode()).hexdigest()[:12]
        return f"{self.latents.name} {self.features.name} {captions}"

    def features_of(self, rows: Sequence[int]) -> Tensor:
        """What the image tower sees of the garments in some photos: (photos, ...) fp32."""
        return self.features.stacked(rows)["features"].float()

    def draw(self, step: int, part: int = 0) -> PairBatch:
        """This process's share of the batch of a step; `part` counts the forward passes of gradient accumulation."""
        chance = generator(self.seed, step, part)
        bucket = self.buckets[self.draw_bucket([len(bucket) for bucket in self.buckets], chance)]
        rows = bucket[self.draw_rows(len(bucket), chance)]
        timesteps = self.draw_timesteps(chance)
        no_image, no_text = self.dropouts.draw(self.size, chance)
        places = torch.rand(self.size, generator=chance)
        shown = [self._partner(row, place) for row, place in zip(rows.tolist(), places.tolist(), strict=True)]
        captions = self.numbers[rows].masked_fill(no_text, len(self.captions) - 1)
        described = torch.where(no_image, captions, self.described[rows])
        taught = no_image | (self.described[rows] != self.numbers[rows])
        mine, without = rows[self.share].tolist(), no_image[self.share].tolist()
        latents = {name: tensor.to(self.device) for name, tensor in self.latents.stacked(mine).items()}
        posterior, noise = self.draw_noises(latents["as_is.0.mean"].shape[1:], step, part)
        return PairBatch(
            latents=torch.addcmul(latents["as_is.0.mean"], latents["as_is.0.std"], posterior),
            noise=noise,
            timesteps=timesteps[self.share].to(self.device),
            mask=latents["as_is.mask"],
            captions=captions[self.share],
            dropped=no_text[self.share].nonzero()[:, 0].tolist(),
            files=[self.files[row] for row in mine],
            features=self._features(shown[self.share], without).to(self.device),
            shown=["" if none else self.files[row] for row, none in zip(shown[self.share], without, strict=True)],
            described=described[self.share],
            taught=taught[self.share].to(self.device),
            aligning=step < self.align_steps,
        )

    def _partner(self, row: int, place: float) -> int:
        choices = self.partners[row]
        return choices[int(place * len(choices))]

    def _features(self, rows: Sequence[int], without: Sequence[bool]) -> Tensor:
        seen = self.features_of(rows)
        seen[torch.tensor(without)] = self.nothing
        return seen


def partners(garments: Sequence[int], views: Sequence[str]) -> list[list[int]]:
    """For each photo, the rows of photos that may be shown for it.

    Those of the same garment in another view (flat to worn, front to back); where there are none, its other photos;
    the photo itself only where it is the garment's one photo. A detail is shown only where nothing else is left.
    """
    rows: dict[int, list[int]] = {}
    for row, garment in enumerate(garments):
        rows.setdefault(garment, []).append(row)

    def choices(row: int) -> list[int]:
        others = [other for other in rows[garments[row]] if other != row]
        whole = [other for other in others if views[other] != "detail"] or others
        return [other for other in whole if views[other] != views[row]] or whole or [row]

    return [choices(row) for row in range(len(garments))]

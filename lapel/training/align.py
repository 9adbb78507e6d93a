"""What a garment encoder learns first: to add, at every cross-attention, what a description of the garment would add.

A base draws well what it is told of in words. Its UNet looks at a noised photo under a description of the garment's
looks; then each of its cross-attentions is asked again, for the same place in the picture, under a caption that leaves
the looks to the photo, and the encoder must make up the difference. One forward pass teaches every layer by itself,
with no gradient through the UNet and no noise in what is to be learned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from lapel.adapters.encoder import cross_attentions, strength, with_photos
from lapel.base.stream import as_streamed

if TYPE_CHECKING:
    from accelerate import Accelerator

    from lapel.base.base import Base
    from lapel.training.encoding import Text
    from lapel.training.pairs import PairBatch

Align = Callable[[Tensor, "PairBatch"], Tensor]
"""From noised latents (n, c, h, w) and their batch to the loss, a scalar: the share of the cross-attentions' output
under the description that is missed, 0 where nothing is."""


class Asked(NamedTuple):
    """A cross-attention, what it was asked (n, places, c), and what it answered, of the same shape."""

    attention: nn.Module
    hidden: Tensor
    answer: Tensor


def aligner(base: Base, text: Text, accelerator: Accelerator) -> Align:
    """The loss of a base that carries a garment encoder, in the run's precision."""
    unet = base.unet
    attentions = [unet.get_submodule(name.removesuffix(".processor")) for _, name in cross_attentions(unet)]

    def align(noised: Tensor, batch: PairBatch) -> Tensor:
        size = (noised.shape[-2] * base.latent_stride, noised.shape[-1] * base.latent_stride)
        features = batch.features.to(base.dtype)
        with accelerator.autocast():
            with torch.no_grad(), strength(unet, 0.0), listening(attentions) as asked:
                described = base.unet_conditions(text(batch.described), original_size=size, target_size=size)
                unet(noised.to(base.dtype), batch.timesteps, **with_photos(described, features))
            caption = base.unet_conditions(text(batch.captions))["encoder_hidden_states"]
            seen = caption, unet.encoder_hid_proj([features[:, None]])
            with as_streamed(unet):
                missed = [missed_share(one.attention(one.hidden, seen), one.answer) for one in asked]
        # Where a photo has no description, words say nothing of what it adds.
        taught = batch.taught.float()
        return (torch.stack(missed).mean(0) * taught).sum() / taught.sum().clamp_min(1)

    return align


@contextmanager
def listening(attentions: Sequence[nn.Module]) -> Iterator[list[Asked]]:
    """Within the block, what the attentions are asked and answer is added to the list, in the order of the calls."""
    asked: list[Asked] = []
    handles = [
        attention.register_forward_hook(lambda module, given, answer: asked.append(Asked(module, given[0], answer)))
        for attention in attentions
    ]
    try:
        yield asked
    finally:
        for handle in handles:
            handle.remove()


def missed_share(answer: Tensor, wanted: Tensor) -> Tensor:
    """|answer - wanted|² / |wanted|² of each example (n,), from (n, places, c), in fp32."""
    answer, wanted = answer.float(), wanted.float()
    return (answer - wanted).square().sum((1, 2)) / wanted.square().sum((1, 2)).clamp_min(1e-12)

"""What each phase of a run takes at its peak: the very modules run in it, under a ledger.

Over a base of fake tensors (`cast_shadow`) that is a prediction, over a real one a count; it is the same code.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from lapel.adapters.encoder import with_photos
from lapel.base.load import checkpoint_blocks
from lapel.base.quantise import statistics
from lapel.base.settings import FrozenWeights, Precision
from lapel.base.stream import streamed
from lapel.training.average import Average
from lapel.training.data import Batch
from lapel.training.fused import FusedTrainable
from lapel.training.objective import Objective
from lapel.training.optimizer import Trainable
from lapel.training.plan.ledger import Ledger, tensors_of
from lapel.training.plan.shadow import Mixed, as_on_gpu
from lapel.training.plan.states import state_tensors
from lapel.training.predict import Predict, predictor, without_gradients
from lapel.training.settings import OptimizerSettings

if TYPE_CHECKING:
    from lapel.base.base import Base

TOKENS = 77
"""Of a caption: longer ones, in several windows, take little more."""
_STATELESS = OptimizerSettings(optimizer="sgd", max_grad_norm=0)


@dataclass(frozen=True)
class Peak:
    """The bytes that a phase holds when it holds most."""

    frozen: int = 0
    """Weights that are not trained: UNet, VAE and text encoders, whichever are on the device in that phase, and copies
    of what is trained."""
    trainable: int = 0
    gradients: int = 0
    optimizer: int = 0
    """The optimizer's states."""
    activations: int = 0
    """What the forward pass keeps for the backward pass."""
    temporary: int = 0
    """What comes on top of all that for a moment."""

    @property
    def total(self) -> int:
        return sum(dataclasses.astuple(self))

    @property
    def working(self) -> int:
        """What comes and goes, of which an allocator wastes a part."""
        return self.activations + self.temporary


@dataclass(frozen=True)
class Block:
    """What one of the UNet's blocks adds to a step, were it not checkpointed."""

    name: str
    """As `checkpoint_blocks` names it."""
    kept: int
    """Bytes that it keeps for the backward pass, beside what it hands on."""
    share: float
    """Its forward pass's part of what a step computes: what checkpointing it costs."""


@dataclass(frozen=True)
class Step:
    """A training step."""

    peak: Peak
    blocks: tuple[Block, ...]
    flops: int = 0
    """Floating-point operations, as PyTorch counts them."""


@dataclass(frozen=True)
class Recipe:
    """What a trainer puts into a base and minimises there."""

    name: str
    """The trainer's, with every setting of its own that shapes depend on."""
    inject: Callable[[Base], Base | None]
    """Puts in what is learned: from then on, those parameters alone take gradients. Gives a base that stays beside it
    as it was, where there is one."""
    loss: Callable[[Base, Objective, Predict, Predict | None], Callable[[Any], Tensor]]
    """The trainer's own loss of a batch, by what the base predicts, and what the one beside it does."""
    batch: Callable[[Base, int, int], Any]
    """A batch for a base, of so many examples of that side in pixels."""
    resolution: int | None = None
    """Side of the pictures in pixels; the base's own unless given."""
    live_text: bool = False
    """Whether captions are encoded in every step, for which VAE and text encoders stay."""
    shown: int = 1
    """How often a run draws each of its prompts at once: a garment encoder's does for several garments."""
    whole: bool = False
    """Whether the base's own weights learn, which are then in fp32."""
    fused: bool = False
    """Whether a gradient is used and gone as soon as it is there; a step then cannot be split."""
    averaged: bool = False
    """Whether a moving average of the trained weights lies beside them."""
    features: tuple[int, ...] | None = None
    """Shape of what a garment encoder in the base is given for a photo."""
    tower: int = 0
    """Bytes of the image tower that makes it, which is there while photos are encoded."""
    quantisable: tuple[FrozenWeights, ...] = ("full",)
    """In which precisions the frozen weights may be kept, the exactest first."""


def photo_batch(base: Base, size: int, side: int) -> Batch:
    """A batch of photos, all without a caption: that is what takes most."""
    shape = (size, base.unet.config.out_channels, side // base.latent_stride, side // base.latent_stride)
    more = base.unet.config.in_channels - shape[1]
    return Batch(
        latents=torch.zeros(shape),
        noise=torch.zeros(shape),
        timesteps=torch.zeros(size, dtype=torch.int64),
        mask=torch.ones(size, 1, *shape[2:]),
        captions=torch.zeros(size, dtype=torch.int64),
        dropped=list(range(size)),
        files=[""] * size,
        around=torch.zeros(size, more, *shape[2:]) if more else None,
    )


class Phases:
    """The phases of a run over one base, in their order.

    Args:
        base: real or of shadows, with what is learned in it.
        recipe: by which that was put in, and is minimised.
        precision: that the run computes in.
        side: of the pictures, in pixels.
        gpu: whether mixed precision is to be a GPU's.
        beside: the base that stays as it was, where the recipe gave one.
        stepped: how a fused backward pass steps; without states, which are added by their formula, unless given.
    """

    def __init__(
        self,
        base: Base,
        recipe: Recipe,
        precision: Precision,
        side: int,
        gpu: bool,
        beside: Base | None = None,
        stepped: OptimizerSettings = _STATELESS,
    ) -> None:
        self.base, self.recipe, self.side, self.beside = base, recipe, side, beside
        self.mixed = Mixed(precision)
        self.rules: Callable[[], AbstractContextManager[Any]] = as_on_gpu if gpu else contextlib.nullcontext
        learned = [weight for model in base.models.values() for weight in model.parameters() if weight.requires_grad]
        self.trainable = FusedTrainable(learned, settings=stepped) if recipe.fused else Trainable(learned)
        self.average = Average(self.trainable.pieces, 0.99) if recipe.averaged else None
        self.text_elsewhere = False
        """Whether the text encoders are in another memory than the one that is counted."""

    def encoding(self) -> Peak:
        """A photo to latents and a caption to embeddings, before anything is learned."""
        pixels = torch.zeros(1, 3, self.side, self.side, dtype=self.base.vae.dtype)
        with Ledger() as ledger, self.rules():
            # What is learned is put in afterwards, but for weights that are the base's own.
            held = ledger.hold([*self._base(encoders=True), *(self.trainable.pieces if self.recipe.whole else [])])
            self.base.encode_images(pixels)
            if not self.text_elsewhere:
                self._text(torch.zeros(1, dtype=torch.int64))
        return Peak(held + self.recipe.tower, temporary=ledger.peak - held)

    def step(self, objective: Objective, batch_size: int, optimizer: torch.optim.Optimizer | None = None) -> Step:
        """Forward, loss, backward; and the optimizer's step where there is one, after a step that makes its states.

        Args:
            objective: made outside of shadows, for it looks at numbers.
        """
        base, recipe = self.base, self.recipe
        predict = predictor(base, self._text if recipe.live_text else self.cached_text, self.mixed)
        own = None if self.beside is None else without_gradients(predictor(self.beside, self.cached_text, self.mixed))
        loss_of = recipe.loss(base, objective, predict, own)
        batch = recipe.batch(base, batch_size, self.side)
        if optimizer is not None:
            self._take(loss_of, batch, Ledger(), optimizer)
        with Ledger() as ledger, watched_blocks(base.unet, ledger) as seen:
            held = self._held(ledger, encoders=recipe.live_text, optimizer=optimizer)
            kept = self._take(loss_of, batch, ledger, optimizer) - held.total
        peak = dataclasses.replace(held, activations=kept, temporary=ledger.peak - held.total - kept)
        blocks = tuple(Block(name, own, flops / ledger.flops) for name, (own, flops) in seen.items())
        return Step(peak, blocks, ledger.flops)

    def _take(self, loss_of: Callable[[Any], Tensor], batch: Any, ledger: Ledger, optimizer: Any) -> int:
        """One step; returns the bytes that were alive between its forward and its backward pass."""
        with self.rules():
            loss = loss_of(batch)
            between = ledger.now
            loss.backward()
        self.trainable.clip(1.0)
        if optimizer is not None:
            optimizer.step()
        self.trainable.clear()
        if self.average is not None:
            self.average.step()
        return between

    @torch.no_grad()
    def sampling(self, pictures: int, optimizer: torch.optim.Optimizer | None = None) -> Peak:
        """One denoising step with guidance, and the VAE's decoding, of so many pictures, beside the whole training."""
        base, small = self.base, self.side // self.base.latent_stride
        with Ledger() as ledger:
            held = self._held(ledger, encoders=True, optimizer=optimizer)
            captions = torch.zeros(2 * pictures, dtype=torch.int64)
            text = self.cached_text(captions) if self.text_elsewhere else self._text(captions)
            latents = torch.zeros(pictures, base.vae.config.latent_channels, small, small, dtype=base.dtype)
            conditions = base.unet_conditions(text)
            if self.recipe.features is not None:
                conditions = with_photos(conditions, torch.zeros(2 * pictures, *self.recipe.features, dtype=base.dtype))
            # Where nothing but an adapter learns, drawing takes no mixed precision.
            with self.mixed.autocast() if self.recipe.whole or self.recipe.features else contextlib.nullcontext():
                predicted = base.unet(torch.cat([latents, latents]), torch.tensor(0), **conditions).sample
            denoised = latents - predicted.chunk(2)[0]
            del predicted
            with self.mixed.autocast() if self.recipe.features else contextlib.nullcontext():
                base.vae.decode(denoised.to(base.vae.dtype))
        return dataclasses.replace(held, temporary=ledger.peak - held.total)

    def _held(self, ledger: Ledger, encoders: bool, optimizer: torch.optim.Optimizer | None) -> Peak:
        """What stays through a phase, booked."""
        pieces = self.trainable.pieces
        return Peak(
            frozen=ledger.hold(self._base(encoders)) + ledger.hold(self._copies()),
            trainable=ledger.hold(pieces),
            gradients=ledger.hold([piece.grad for piece in pieces if piece.grad is not None]),
            optimizer=ledger.hold(state_tensors(optimizer)) if optimizer is not None else 0,
        )

    def _copies(self) -> list[Tensor]:
        """What stays beside the base: itself as it was, and an average of what is learned."""
        own = [] if self.beside is None else tensors_of(self.beside.unet)
        return own + ([] if self.average is None else self.average.tensors)

    def _base(self, encoders: bool) -> list[Tensor]:
        """The base, but for what of it is learned, and what is in another memory."""
        base = self.base
        elsewhere = {id(parameter) for parameter in (*self.trainable.parameters, *streamed(base.unet))}
        text = [] if self.text_elsewhere else base.text_encoders
        models = [base.unet, *([base.vae, *text] if encoders else [])]
        packed = [getattr(place, name) for model in models for place, name in statistics(model)]
        return [tensor for tensor in (*tensors_of(*models), *packed) if id(tensor) not in elsewhere]

    def _text(self, captions: Tensor) -> dict[str, Tensor]:
        """Captions by their numbers, through the text encoders."""
        tokens = torch.zeros(len(captions), 1, TOKENS, dtype=torch.int64)
        return self.base.encode_tokens([tokens] * len(self.base.text_encoders))

    def cached_text(self, captions: Tensor) -> dict[str, Tensor]:
        """Captions as if they had been encoded before, in the shapes that the UNet's configuration has."""
        base, config = self.base, self.base.unet.config
        text = {"prompt_embeds": torch.zeros(len(captions), TOKENS, config.cross_attention_dim, dtype=base.dtype)}
        if base.family.text_encoders == 2:
            width = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
            text["pooled_prompt_embeds"] = torch.zeros(len(captions), width, dtype=base.dtype)
        return text


@contextmanager
def watched_blocks(unet: Any, ledger: Ledger) -> Iterator[dict[str, tuple[int, int]]]:
    """By block, the bytes that its last forward pass left beside its output, and the operations that it took."""
    seen: dict[str, tuple[int, int]] = {}
    entered: dict[str, tuple[int, int]] = {}

    def enter(name: str) -> None:
        entered[name] = ledger.now, ledger.flops

    def leave(name: str, made: Any) -> None:
        now, flops = entered[name]
        handed_on = sum(tensor.untyped_storage().nbytes() for tensor in tree_leaves(made) if isinstance(tensor, Tensor))
        seen[name] = max(0, ledger.now - now - handed_on), ledger.flops - flops

    hooks = []
    for name in checkpoint_blocks(unet):
        block = unet.get_submodule(name)
        hooks.append(block.register_forward_pre_hook(lambda _, __, name=name: enter(name)))
        hooks.append(block.register_forward_hook(lambda _, __, made, name=name: leave(name, made)))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()

"""What a plan may change of a run's settings so that it fits, and what it must leave alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lapel.base.settings import FrozenWeights
from lapel.training.settings import OptimizerName

if TYPE_CHECKING:
    from lapel.training.facts import AllSettings

    SomeSettings = TypeVar("SomeSettings", bound=AllSettings)


@dataclass(frozen=True)
class Levers:
    """Those settings of a run that decide over memory and time, and not over what is learned."""

    checkpoint: tuple[str, ...]
    """The UNet's blocks that compute their activations again; empty for none, ("unet",) for all."""
    batch_size: int
    gradient_accumulation: int
    optimizer: OptimizerName
    frozen_weights: FrozenWeights
    sample_batch: int
    vae_slicing: bool
    vae_tile: int | None
    offload_text: bool
    stream_weights: bool = False


def levers_of(settings: AllSettings) -> Levers:
    """As the settings have them."""
    base, optimizer = settings.base, settings.optimizer
    return Levers(
        checkpoint=tuple(base.checkpoint_blocks) if base.gradient_checkpointing else (),
        batch_size=optimizer.batch_size,
        gradient_accumulation=optimizer.gradient_accumulation,
        optimizer=optimizer.optimizer,
        frozen_weights=base.frozen_weights,
        sample_batch=settings.run.sample_batch,
        vae_slicing=base.vae_slicing,
        vae_tile=base.vae_tile,
        offload_text=base.offload_text,
        stream_weights=base.stream_weights,
    )


def with_levers(settings: SomeSettings, levers: Levers) -> SomeSettings:
    """The settings with these levers; nothing else of them changes."""
    base = dataclasses.replace(
        settings.base,
        gradient_checkpointing=bool(levers.checkpoint),
        checkpoint_blocks=list(levers.checkpoint) or ["unet"],
        frozen_weights=levers.frozen_weights,
        vae_slicing=levers.vae_slicing,
        vae_tile=levers.vae_tile,
        offload_text=levers.offload_text,
        stream_weights=levers.stream_weights,
    )
    optimizer = dataclasses.replace(
        settings.optimizer,
        optimizer=levers.optimizer,
        batch_size=levers.batch_size,
        gradient_accumulation=levers.gradient_accumulation,
    )
    run = dataclasses.replace(settings.run, sample_batch=levers.sample_batch)
    return dataclasses.replace(settings, base=base, optimizer=optimizer, run=run)

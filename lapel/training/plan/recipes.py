"""What the trainers tell a plan of themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lapel.adapters.encoder import inject_encoder
from lapel.adapters.inject import inject
from lapel.adapters.settings import quantisable
from lapel.adapters.tuning import frozen_copy, tune
from lapel.base.hollow import hollow_tower
from lapel.base.load import usual_precision
from lapel.training.class_images import ClassBatch
from lapel.training.pairs import PairBatch
from lapel.training.plan.phases import Recipe, photo_batch
from lapel.training.prior import Prior, keeps_base

if TYPE_CHECKING:
    from lapel.base.base import Base
    from lapel.training import encoder_facts, facts, tuning_facts
    from lapel.training.align import Align
    from lapel.training.objective import Objective
    from lapel.training.predict import Predict

Loss = Callable[[Any], Tensor]


def _aligned(noised: Tensor, batch: PairBatch) -> Tensor:
    raise AssertionError("a step that learns from descriptions keeps nothing of the UNet, and is not planned")


def lora_recipe(
    settings: facts.Settings, denoising_loss: Callable[[Base, Objective, Predict, Predict], Loss]
) -> Recipe:
    """`trainers/lora.py`, with its own `denoising_loss`."""
    adapter = settings.adapter

    def put_in(base: Base) -> None:
        inject(base, adapter, settings.optimizer.seed)

    def loss(base: Base, objective: Objective, predict: Predict, own: Predict | None) -> Loss:
        return denoising_loss(base, objective, predict, predict)  # the class's captions take no other shapes

    return Recipe(
        f"lora {adapter} {settings.objective}",
        put_in,
        loss,
        photo_batch,
        resolution=settings.photos.resolution,
        live_text=not settings.captions.cache_text,
        quantisable=quantisable(adapter.kind),
    )


def dreambooth_recipe(
    settings: tuning_facts.Settings, denoising_loss: Callable[[Objective, Predict, Prior], Loss]
) -> Recipe:
    """`trainers/dreambooth.py`, with its own `denoising_loss`."""
    tuning, prior = settings.tuning, settings.prior

    def put_in(base: Base) -> Base | None:
        precision = settings.base.precision or usual_precision(settings.base.base, base.device)
        beside = frozen_copy(base, precision) if keeps_base(settings) else None
        tune(base, settings.optimizer.learning_rate, tuning.text_encoder_learning_rate)
        return beside

    def loss(base: Base, objective: Objective, predict: Predict, own: Predict | None) -> Loss:
        return denoising_loss(objective, predict, Prior(prior.prior, prior.prior_weight, None, predict, own))

    def batch(base: Base, size: int, side: int) -> Any:
        photos = photo_batch(base, size, side)
        return ClassBatch(**vars(photos), classes=photos) if prior.prior == "class_images" else photos

    return Recipe(
        f"dreambooth {settings.learned} {prior.prior} {settings.objective}",
        put_in,
        loss,
        batch,
        resolution=settings.photos.resolution,
        live_text=not settings.captions.cache_text,
        whole=True,
        fused=tuning.fused_backward,
        averaged=tuning.ema_decay is not None and not tuning.ema_in_system_memory,
    )


def encoder_recipe(settings: encoder_facts.Settings, pair_loss: Callable[[Objective, Predict, Align], Loss]) -> Recipe:
    """`trainers/garment_encoder.py`, with its own `pair_loss`, in a step that learns from photos, which takes most."""
    encoder = settings.encoder
    tower = hollow_tower(encoder.image_tower, settings.base)
    features = tower.features(encoder.tokens)

    def put_in(base: Base) -> None:
        inject_encoder(base, encoder.form, features[-1], settings.optimizer.seed)

    def loss(base: Base, objective: Objective, predict: Predict, own: Predict | None) -> Loss:
        return pair_loss(objective, predict, _aligned)

    def batch(base: Base, size: int, side: int) -> PairBatch:
        photos = photo_batch(base, size, side)
        return PairBatch(
            **vars(photos),
            features=torch.zeros(size, *features),
            shown=photos.files,
            described=photos.captions,
            taught=torch.ones(size, dtype=torch.bool),
            aligning=False,
        )

    return Recipe(
        f"garment encoder {encoder.form}",
        put_in,
        loss,
        batch,
        resolution=settings.catalogue.resolution,
        shown=encoder.sample_garments,
        features=features,
        tower=tower.bytes,
        quantisable=("full", "int8", "nf4"),
    )

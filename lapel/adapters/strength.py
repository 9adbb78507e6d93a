"""An injected adapter at another weight, as front ends have it in `<lora:name:0.8>`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lapel.adapters.inject import ADAPTER_NAME
from lapel.base.base import Base


@contextmanager
def at_strength(base: Base, weight: float) -> Iterator[None]:
    """Within the block the adapter counts `weight` times: 1 as it was trained, 0 not at all.

    peft's layers carry it in their scale. Of a DoRA that weighs the direction, not the magnitudes.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [
        layer
        for model in base.models.values()
        for layer in model.modules()
        if isinstance(layer, BaseTunerLayer) and ADAPTER_NAME in getattr(layer, "scaling", {})
    ]
    before = [layer.scaling[ADAPTER_NAME] for layer in layers]
    for layer, scale in zip(layers, before, strict=True):
        layer.scaling[ADAPTER_NAME] = weight * scale
    try:
        yield
    finally:
        for layer, scale in zip(layers, before, strict=True):
            layer.scaling[ADAPTER_NAME] = scale

"""Add adapters to a base's weights without any loader's help: the key map, the formulas, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lapel.adapters.layers import change
from lapel.adapters.read import Adapter
from lapel.errors import UserError


@torch.no_grad()
def merge(adapter: Adapter, modules: Mapping[str, Any], weight: float = 1.0) -> int:
    """Add `weight` times the adapter's changes to the layers' weights, computed in fp32 and kept in their precision.

    The layers get new tensors, so that a model that shares the old ones keeps them.

    Args:
        modules: the base's layers by name, as `lapel.adapters.names.layer_modules` gives them.

    Returns:
        How many layers changed.

    Raises:
        UserError: the adapter fits another base; no layer was changed then.
    """
    for name, layer in adapter.layers.items():
        if name not in modules:
            raise UserError(f"{adapter.path}: this base has no layer {name}")
        try:
            # On no device: only shapes are computed.
            on_meta = {kind: tensor.to("meta") if kind != "alpha" else tensor for kind, tensor in layer.items()}
            change(on_meta, modules[name].weight.shape, modules[name].weight.to("meta"))
        except (UserError, RuntimeError) as error:
            raise UserError(f"{adapter.path}: {name}: {str(error).splitlines()[0]}") from None
    for name, layer in adapter.layers.items():
        module = modules[name]
        here = {kind: tensor.to(module.weight.device) for kind, tensor in layer.items()}
        added = change(here, module.weight.shape, module.weight)
        merged = module.weight.float() + weight * added
        module.weight = nn.Parameter(merged.to(module.weight.dtype), requires_grad=False)
    return len(adapter.layers)

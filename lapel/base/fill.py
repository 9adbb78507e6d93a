"""Models around weights that are in memory already: nothing is made first to be overwritten afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from lapel.errors import UserError


def filled(make: Callable[[], Any], tensors: Mapping[str, Tensor], path: Path) -> Any:
    """The model that `make` makes, with these tensors for its weights (not copies). Others than its own are left out.

    Raises:
        UserError: weights are missing or have another shape; `path`, which they came from, is named.
    """
    from accelerate import init_empty_weights

    with init_empty_weights():
        model = make()
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    missing = [name for name in expected if name not in tensors]
    if missing:
        kind = type(model).__name__
        raise UserError(f"{path}: {len(missing)} weights of its {kind} are missing, {missing[0]} for one")
    odd = next((name for name, shape in expected.items() if tuple(tensors[name].shape) != shape), None)
    if odd is not None:
        found = tuple(tensors[odd].shape)
        raise UserError(f"{path}: {odd} of its {type(model).__name__} is {found}, where {expected[odd]} belongs")
    model.load_state_dict({name: tensors[name] for name in expected}, assign=True)
    return model

"""Save an adapter in both layouts, each file whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lapel.adapters.diffusers_layout import DIFFUSERS_FILE, diffusers_tensors
from lapel.adapters.inject import learned_updates
from lapel.adapters.kohya import kohya_metadata, kohya_tensors
from lapel.adapters.settings import AdapterSettings
from lapel.base.base import Base
from lapel.errors import UserError
from lapel.files import written_whole


def save_adapter(
    base: Base,
    settings: AdapterSettings,
    folder: Path,
    name: str,
    metadata: Mapping[str, str],
    dtype: torch.dtype = torch.float16,
) -> list[Path]:
    """Write `<name>.safetensors` (kohya's layout) and `pytorch_lora_weights.safetensors` (diffusers') into `folder`.

    Args:
        base: with the adapter that `inject` put in.
        metadata: further fields of the files' headers, strings all.
        dtype: of the stored numbers; every reader takes fp16.

    Returns:
        The paths of the two, in this order.

    Raises:
        UserError: a value is NaN or infinite, or too large for `dtype`; nothing is written then.
    """
    updates = learned_updates(base)
    if not updates:
        raise RuntimeError("the base carries no adapter; call inject first")
    kohya = kohya_tensors(base, updates, dtype)
    plain = diffusers_tensors(updates, dtype)
    for tensors in (kohya, plain):
        _require_finite(tensors, dtype)
    paths = [folder / f"{name}.safetensors", folder / DIFFUSERS_FILE]
    _save(paths[0], kohya, kohya_metadata(base, settings, name, kohya, metadata))
    _save(paths[1], plain, {"format": "pt", **metadata})
    return paths


def _require_finite(tensors: dict[str, Tensor], dtype: torch.dtype) -> None:
    wrong = [key for key, tensor in tensors.items() if not tensor.isfinite().all()]
    if wrong:
        raise UserError(
            f"{wrong[0]} and {len(wrong) - 1} more tensors hold NaN, infinity or numbers beyond {dtype}'s range, so no "
            "adapter was written; train again with a lower learning rate"
        )


def _save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    from safetensors.torch import save_file

    with written_whole(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)

"""Write adapters: what was trained in both layouts, and what was read in any."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lapel.adapters.combine import Loss, Size, resized
from lapel.adapters.diffusers_layout import diffusers_holds, diffusers_tensors, save_peft
from lapel.adapters.kinds import DIFFUSERS_FILE, Layout
from lapel.adapters.kohya import family_metadata, kohya_metadata, kohya_tensors
from lapel.adapters.layers import Layers, weights_of
from lapel.adapters.learned import learned_updates
from lapel.adapters.names import layer_modules, names_of
from lapel.adapters.read import Adapter
from lapel.base.base import Base
from lapel.base.save import require_finite
from lapel.errors import UserError
from lapel.files import save_tensors


def save_adapter(
    base: Base,
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
        The paths of the two, in this order. LoHa and LoKr have no place in the second, which holds the nearest LoRA.

    Raises:
        UserError: a value is NaN or infinite, or too large for `dtype`; nothing is written then.
    """
    layers = {update.name: update.layer for update in learned_updates(base)}
    if not layers:
        raise RuntimeError("the base carries no adapter; call inject first")
    names, weights = names_of(base.family, base.models), weights_of(layer_modules(base.models))
    kohya = kohya_tensors(names, layers, dtype, weights)
    held, lost = nearest_held(layers, weights)
    plain = diffusers_tensors(held, dtype)
    for tensors in (kohya, plain):
        require_finite(tensors, dtype)
    # How the text was encoded is the base's to say, whatever the caller takes it for.
    facts = {**base_metadata(base), **metadata, "ss_clip_skip": str(base.clip_skip)}
    paths = [folder / f"{name}.safetensors", folder / DIFFUSERS_FILE]
    save_tensors(paths[0], kohya, kohya_metadata(base.family, base.prediction_type, name, layers, kohya, facts))
    stated = {} if lost is None else {LEFT_OUT: f"{lost.whole:.3g}"}
    save_tensors(paths[1], plain, {**family_metadata(base.family, base.prediction_type), **metadata, **stated})
    return paths


LEFT_OUT = "lapel.left_out"
"""Metadata of a file that holds the nearest LoRA: the share of the change that it leaves out, in Frobenius' norm."""

NEAR = Size(energy=1 - 1e-6)
"""How near the nearest LoRA comes: to a thousandth of the change, as near as fp16 would keep it."""


def nearest_held(layers: Layers, weights: Mapping[str, Tensor]) -> tuple[Layers, Loss | None]:
    """The layers as diffusers' layout holds them: where it has no place for one (LoHa, LoKr), the nearest LoRA.

    Returns:
        The layers, and what they lost; None where all are held as they are.
    """
    unheld = {name: layer for name, layer in layers.items() if not diffusers_holds(layer)}
    if not unheld:
        return layers, None
    near, lost = resized(unheld, NEAR, weights)
    return {name: near.get(name, layer) for name, layer in layers.items()}, lost


def base_metadata(base: Base) -> dict[str, str]:
    """What a file says of the very base that an adapter was made on."""
    metadata = {
        "ss_sd_model_name": base.name,
        "ss_new_sd_model_hash": base.hash,
        "ss_zero_terminal_snr": str(base.zero_terminal_snr),
        "ss_resolution": f"({base.resolution}, {base.resolution})",
        "modelspec.resolution": f"{base.resolution}x{base.resolution}",
    }
    others = {"ss_vae_name": base.vae_name, "ss_sd_model_hash": base.legacy_hash}
    return metadata | {key: value for key, value in others.items() if value is not None}


def write_adapter(
    adapter: Adapter,
    layout: Layout,
    path: Path,
    dtype: torch.dtype = torch.float16,
    weights: Mapping[str, Tensor] | None = None,
) -> list[Path]:
    """Write an adapter in another layout, or in its own; what its metadata tells goes along.

    Args:
        path: the file; for peft's layout a folder, in which every part of the base has one.
        weights: of the base's layers by name, which a DoRA for front ends depends on.

    Returns:
        The files written.

    Raises:
        UserError: the layout cannot hold a layer, or the precision a number; nothing is written then.
    """
    layers = adapter.layers
    unheld = [name for name, layer in layers.items() if layout != "kohya" and not diffusers_holds(layer)]
    if unheld:
        kinds = ", ".join(sorted(layers[unheld[0]]))
        raise UserError(
            f"{adapter.path}: {layout}'s layout has no place for {unheld[0]} and {len(unheld) - 1} more layers "
            f"({kinds}); make a LoRA of them with --rank, or drop them with --allow_loss"
        )
    kept = {key: value for key, value in adapter.metadata.items() if not key.startswith(_MADE_ANEW)}
    v = kept.get("modelspec.prediction_type") == "v" or kept.get("ss_base_model_version", "").endswith("_v")
    family, predicts = adapter.names.family, "v_prediction" if v else "epsilon"
    if layout == "kohya":
        tensors = kohya_tensors(adapter.names, layers, dtype, weights)
        require_finite(tensors, dtype)
        save_tensors(path, tensors, kohya_metadata(family, predicts, path.stem, layers, tensors, kept))
        return [path]
    tensors = diffusers_tensors(layers, dtype)
    require_finite(tensors, dtype)
    if layout == "peft":
        return save_peft(path, layers, tensors)
    save_tensors(path, tensors, {**family_metadata(family, predicts), **kept})
    return [path]


_MADE_ANEW = ("format", "sshs_", "ss_network_", "ss_output_name", "modelspec.title", "modelspec.hash", "lora_adapter_")
"""Metadata that the writer makes from what it writes."""

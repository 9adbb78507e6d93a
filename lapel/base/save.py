"""Write a base as a single-file checkpoint or a diffusers folder that front ends and older libraries read."""

from __future__ import annotations

import datetime
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lapel.base.base import Base
from lapel.base.ldm import ldm_name, ldm_vae_name, open_clip_name, published_name
from lapel.base.single_file import UNET_ROOT, VAE_ROOT
from lapel.errors import UserError
from lapel.files import save_tensors

_QKV = re.compile(r"(.*)\.self_attn\.q_proj\.(weight|bias)")


def save_single_file(
    base: Base, path: Path, dtype: torch.dtype = torch.float16, metadata: Mapping[str, str] | None = None
) -> None:
    """Write the base's models as one .safetensors file in the original code's layout, which all front ends load.

    A base that predicts v says so in its metadata and, if it is SDXL, by the keys `v_pred` and `ztsnr`, which ComfyUI
    looks for; of SD 2 front ends look at the weights themselves.

    Args:
        metadata: further fields of the file's header, strings all.

    Raises:
        UserError: a weight is NaN or infinite, or too large for `dtype`; nothing is written then.
    """
    tensors = {name: value.to("cpu", dtype).contiguous() for name, value in single_file_tensors(base).items()}
    require_finite(tensors, dtype)
    save_tensors(path, tensors, {**_metadata(base, path.stem), **(metadata or {})})


def require_finite(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    """Refuse to write NaN, infinity and what the precision cannot hold.

    Raises:
        UserError: names the first such tensor and how many there are.
    """
    wrong = [key for key, tensor in tensors.items() if not tensor.isfinite().all()]
    if wrong:
        name = str(dtype).removeprefix("torch.")
        raise UserError(
            f"{wrong[0]} and {len(wrong) - 1} more tensors hold NaN, infinity or numbers beyond {name}'s range; "
            "nothing was written (a wider precision may hold them)"
        )


def single_file_tensors(base: Base) -> dict[str, Tensor]:
    """Every weight of the base under its name in a single file; not copies, where names alone change."""
    tensors = {f"{UNET_ROOT}{name}": value for name, value in unet_tensors(base.unet).items()}
    tensors |= {f"{VAE_ROOT}{name}": value for name, value in vae_tensors(base.vae).items()}
    for encoder, root in zip(base.text_encoders, base.family.text_roots, strict=True):
        state = published_state(encoder)
        if root.endswith(".model."):
            state = open_clip_tensors(state, spare_layer=base.family.name == "sd2")
        tensors |= {f"{root}{name}": value for name, value in state.items()}
    if base.family.name == "sdxl" and base.prediction_type == "v_prediction":
        tensors["v_pred"] = torch.zeros(0)
        if base.zero_terminal_snr:
            tensors["ztsnr"] = torch.zeros(0)
    return tensors


def unet_tensors(unet: Any) -> dict[str, Tensor]:
    """A diffusers UNet's weights under the original code's names."""
    attention = ["CrossAttn" in kind for kind in unet.config.up_block_types]
    tensors = {}
    for name, value in unet.state_dict().items():
        module, kind = name.rsplit(".", 1)
        tensors[f"{ldm_name(module, unet.config.layers_per_block, attention)}.{kind}"] = value
    return tensors


def vae_tensors(vae: Any) -> dict[str, Tensor]:
    """A diffusers VAE's weights under the original code's names; its attention is made of 1x1 convolutions there."""
    levels, tensors = len(vae.config.block_out_channels), {}
    for name, value in vae.state_dict().items():
        linear = "attentions" in name and ".to_" in name and value.dim() == 2
        tensors[ldm_vae_name(name, levels)] = value[:, :, None, None] if linear else value
    return tensors


def published_state(encoder: Any) -> dict[str, Tensor]:
    """A text encoder's weights as published files name them: with the level `text_model`, without position numbers."""
    return {
        published_name(name): value for name, value in encoder.state_dict().items() if not name.endswith("position_ids")
    }


def open_clip_tensors(state: Mapping[str, Tensor], spare_layer: bool) -> dict[str, Tensor]:
    """A text encoder's weights, `published_state`, under OpenCLIP's names: q, k and v are one matrix there.

    Args:
        spare_layer: repeat the last layer as the next one. SD 2's models have a last layer that nothing uses; diffusers
            leaves it out, and front ends miss it.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in state.items():
        if name == "text_projection.weight":
            tensors["text_projection"] = value.T
        elif match := _QKV.fullmatch(name):
            module, kind = match.groups()
            parts = [state[f"{module}.self_attn.{letter}_proj.{kind}"] for letter in "qkv"]
            tensors[f"{open_clip_name(module)}.attn.in_proj_{kind}"] = torch.cat(parts)
        elif ".self_attn.k_proj." not in name and ".self_attn.v_proj." not in name:
            tensors[open_clip_name(name)] = value
    if spare_layer:
        last = max(int(found.group(1)) for name in tensors if (found := re.search(r"resblocks\.(\d+)\.", name)))
        root, spare = f"transformer.resblocks.{last}.", f"transformer.resblocks.{last + 1}."
        again = {name: value.clone() for name, value in tensors.items() if name.startswith(root)}
        tensors |= {name.replace(root, spare): value for name, value in again.items()}
    return tensors


def _metadata(base: Base, name: str) -> dict[str, str]:
    """`modelspec.` fields (Stability's model specification)."""
    metadata = {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": base.family.architecture_of(base.prediction_type),
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": name,
        "modelspec.resolution": f"{base.resolution}x{base.resolution}",
        "modelspec.prediction_type": "v" if base.prediction_type == "v_prediction" else "epsilon",
        "modelspec.date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    return metadata | ({"modelspec.license": base.licence} if base.licence else {})


def save_folder(base: Base, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write the base as a diffusers folder that older releases of transformers read as well, whole or not at all.

    The base's models are in `dtype` afterwards.

    Raises:
        UserError: a weight is NaN or infinite, or too large for `dtype`; or the folder is there already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: not empty; name another folder")
    for model in (base.unet, base.vae, *base.text_encoders):
        require_finite({name: value.to(dtype) for name, value in model.state_dict().items()}, dtype)
        model.to(dtype)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        base.pipeline().save_pretrained(unfinished)
        for number, encoder in enumerate(base.text_encoders):
            _write_published_names(unfinished / f"text_encoder{'_2' * number}" / "model.safetensors", encoder)
        for file in unfinished.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)
        unfinished.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_published_names(path: Path, encoder: Any) -> None:
    """Put the level `text_model` back, which some releases of transformers leave out when they save."""
    state = {name: value.contiguous() for name, value in published_state(encoder).items()}
    save_tensors(path, state, {"format": "pt"})

"""kohya's layout of an adapter, which WebUI, Forge, ComfyUI and InvokeAI read (and diffusers, but for `.diff`).

    <stem>.lora_down.weight  (rank, in[, kh, kw])     <stem>.lora_up.weight  (out, rank[, 1, 1])
    <stem>.alpha             0-dim; W' = W + alpha / rank * up @ down
    <stem>.diff              instead of the three: W' - W whole, in the shape of W

The stem is a prefix and the module's name with every dot an underscore.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lapel.adapters.inject import LayerUpdate
from lapel.base.families import Family
from lapel.base.ldm import ldm_name

if TYPE_CHECKING:
    from lapel.adapters.settings import AdapterSettings
    from lapel.base.base import Base


def stem(family: Family, unet_config: Any, part: str, module: str) -> str:
    """The name of a layer in a file: `lora_unet_down_blocks_0_...`, SDXL's `lora_unet_input_blocks_4_1_...`.

    Args:
        unet_config: diffusers' configuration of the base's UNet.
        part: `unet`, `text_encoder` or `text_encoder_2`.
        module: dotted, a text encoder's with its `text_model.` level.
    """
    if part != "unet":
        prefix = family.text_prefixes[0 if part == "text_encoder" else 1]
    else:
        prefix = "lora_unet_"
        if family.sgm_names:
            attention = ["CrossAttn" in kind for kind in unet_config["up_block_types"]]
            module = ldm_name(module, unet_config["layers_per_block"], attention)
    return prefix + module.replace(".", "_")


def kohya_tensors(base: Base, updates: Iterable[LayerUpdate], dtype: torch.dtype) -> dict[str, Tensor]:
    """The file's tensors: a LoRA's in three per layer, a DoRA's as whole differences.

    A DoRA from peft normalises the rows; front ends that know `dora_scale` normalise the columns or get rows wrong, so
    that no scale can be given to them; the differences are exact in all of them.
    """
    tensors = {}
    for update in updates:
        name = stem(base.family, base.unet.config, update.part, update.module)
        if update.magnitude is not None:
            tensors[f"{name}.diff"] = _stored(update.difference(), dtype)
            continue
        # alpha is stored in the file's precision; what it loses there, up takes over.
        alpha = torch.tensor(update.alpha, dtype=dtype)
        tensors[f"{name}.lora_down.weight"] = _stored(update.down, dtype)
        tensors[f"{name}.lora_up.weight"] = _stored(update.up * (update.alpha / alpha.item()), dtype)
        tensors[f"{name}.alpha"] = alpha
    return tensors


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to("cpu", dtype).contiguous()


def kohya_metadata(
    base: Base, settings: AdapterSettings, name: str, tensors: dict[str, Tensor], extra: Mapping[str, str]
) -> dict[str, str]:
    """`ss_`, `modelspec.` and `sshs_` fields: how front ends recognise the base, list the file and link to it.

    Args:
        name: the file's stem, which WebUI offers as the alias.
        tensors: what the file holds, for the hashes.
        extra: further fields, which win over those made here; `modelspec.date` among them makes a file repeatable.
    """
    family, v = base.family, base.prediction_type == "v_prediction"
    alpha = settings.resolved_alpha
    arguments = {"conv_dim": settings.rank, "conv_alpha": alpha} if settings.convolutions else {}
    metadata = {
        "format": "pt",
        "ss_v2": str(family.name == "sd2"),
        "ss_base_model_version": family.model_version + ("_v" if family.name == "sd2" and v else ""),
        "ss_sd_model_name": base.name,
        "ss_new_sd_model_hash": base.hash,
        "ss_zero_terminal_snr": str(base.zero_terminal_snr),
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(settings.rank),
        "ss_network_alpha": f"{alpha:g}",
        "ss_network_args": json.dumps(arguments),
        "ss_output_name": name,
        "ss_resolution": f"({base.resolution}, {base.resolution})",
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{family.architecture_of(base.prediction_type)}/lora",
        "modelspec.implementation": family.implementation,
        "modelspec.title": name,
        "modelspec.resolution": f"{base.resolution}x{base.resolution}",
        "modelspec.prediction_type": "v" if v else "epsilon",
        "modelspec.date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    if base.vae_name is not None:
        metadata["ss_vae_name"] = base.vae_name
    metadata |= extra
    wrong = [key for key, value in metadata.items() if not isinstance(value, str)]
    if wrong:
        raise TypeError(f"metadata must be strings: {', '.join(wrong)}")
    return metadata | content_hashes(tensors, metadata)


def content_hashes(tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """The hashes by which sites and the WebUI know a file whatever its metadata, as sd-scripts computes them.

    `sshs_model_hash` is the SHA-256 of what follows the header, `sshs_legacy_hash` the first 8 digits of that of the
    bytes from 0x100000 to 0x110000 of the file with its `ss_` fields alone.
    """
    from safetensors.torch import save

    content = save(tensors, metadata={key: value for key, value in metadata.items() if key.startswith("ss_")})
    header = int.from_bytes(content[:8], "little")
    whole = hashlib.sha256(memoryview(content)[8 + header :]).hexdigest()
    return {
        "sshs_model_hash": whole,
        "sshs_legacy_hash": hashlib.sha256(content[0x100000:0x110000]).hexdigest()[:8],
        "modelspec.hash_sha256": f"0x{whole}",
    }

"""kohya's layout of an adapter, which WebUI, Forge, ComfyUI and InvokeAI read (and diffusers, where it is a LoRA).

    <stem>.<kind>    as `lapel.adapters.names` and `lapel.adapters.layers` list them

The stem is a prefix and the module's name with every dot an underscore.
"""

from __future__ import annotations

import datetime
import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lapel.adapters.kinds import DOWN
from lapel.adapters.layers import Layers, alpha_of, change, in_precision, is_by_row, rank_of, with_one_alpha
from lapel.adapters.names import Names
from lapel.base.families import Family
from lapel.base.weights import content_hash, legacy_hash
from lapel.errors import UserError
from lapel.files import save_tensors


def kohya_tensors(
    names: Names, layers: Layers, dtype: torch.dtype, weights: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """The file's tensors: a LoRA's in three per layer, with one alpha for the UNet and one for the text encoders.

    A DoRA by rows becomes whole changes (`.diff`): front ends that know `dora_scale` normalise the columns, or take
    rows for something else; the changes are exact in all of them.

    Args:
        weights: of the base's layers by name, which a DoRA's change depends on.

    Raises:
        UserError: a DoRA by rows, and no `weights`.
    """
    by_row = [name for name, layer in layers.items() if is_by_row(layer)]
    if by_row and weights is None:
        raise UserError(
            f"{by_row[0]} and {len(by_row) - 1} more layers are a DoRA by rows, which front ends misread; name its "
            "base with --base, and their whole changes are written"
        )
    tensors = {}
    for name, layer in with_one_alpha(layers).items():
        if weights is not None and is_by_row(layer):
            # One at a time: all of them in fp32 are twice the size of the file, and more than the base itself.
            layer = {"diff": change(layer, weights[name].shape, weights[name])}
        for kind, tensor in in_precision(layer, dtype).items():
            tensors[f"{names.stems[name]}.{kind}"] = tensor
    return tensors


def kohya_metadata(
    family: Family,
    prediction_type: str,
    name: str,
    layers: Layers,
    tensors: dict[str, Tensor],
    extra: Mapping[str, str],
) -> dict[str, str]:
    """`ss_`, `modelspec.` and `sshs_` fields: how front ends recognise the base, list the file and link to it.

    Args:
        prediction_type: of the base: `epsilon` or `v_prediction`.
        name: the file's stem, which WebUI offers as the alias.
        layers: what was learned, which tells ranks and alphas.
        tensors: what the file holds, for the hashes.
        extra: further fields, which win over those made here; `modelspec.date` among them makes a file repeatable.

    Raises:
        TypeError: a field that is not a string.
    """
    v = prediction_type == "v_prediction"
    metadata = {
        **family_metadata(family, prediction_type),
        "ss_v2": str(family.name == "sd2"),
        "ss_base_model_version": family.model_version + ("_v" if family.name == "sd2" and v else ""),
        **_network(layers),
        "ss_output_name": name,
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.implementation": family.implementation,
        "modelspec.title": name,
        "modelspec.date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    metadata |= extra
    wrong = [key for key, value in metadata.items() if not isinstance(value, str)]
    if wrong:
        raise TypeError(f"metadata must be strings: {', '.join(wrong)}")
    return metadata | content_hashes(tensors, metadata)


def family_metadata(family: Family, prediction_type: str) -> dict[str, str]:
    """The fields by which a file of any layout says which bases it is for."""
    return {
        "format": "pt",
        "modelspec.architecture": f"{family.architecture_of(prediction_type)}/lora",
        "modelspec.prediction_type": "v" if prediction_type == "v_prediction" else "epsilon",
    }


def _network(layers: Layers) -> dict[str, str]:
    """What kind of adapter it is, and its commonest rank and alpha; those of convolutions apart, as kohya has them."""
    kinds = {kind.split("_")[0] for layer in layers.values() for kind in layer}
    algorithm = next((name for sign, name in {"hada": "loha", "lokr": "lokr"}.items() if sign in kinds), None)
    arguments: dict[str, str | int | float] = {} if algorithm is None else {"algo": algorithm}
    sizes: dict[bool, Counter[tuple[int, float]]] = {True: Counter(), False: Counter()}
    for layer in layers.values():
        rank = rank_of(layer)
        if rank is not None:
            spread = DOWN in layer and layer[DOWN].dim() == 4 and layer[DOWN].shape[-1] > 1
            sizes[spread][rank, alpha_of(layer) or rank] += 1
    if sizes[True]:
        arguments["conv_dim"], arguments["conv_alpha"] = sizes[True].most_common(1)[0][0]
    fields = {
        "ss_network_module": "networks.lora" if algorithm is None else "lycoris.kohya",
        "ss_network_args": json.dumps(arguments),
    }
    if sizes[False]:
        rank, alpha = sizes[False].most_common(1)[0][0]
        fields |= {"ss_network_dim": str(rank), "ss_network_alpha": f"{alpha:g}"}
    return fields


def content_hashes(tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """The hashes by which sites and the WebUI know a file whatever its metadata, as sd-scripts computes them.

    `sshs_model_hash` is the SHA-256 of what follows the header, `sshs_legacy_hash` the first 8 digits of that of the
    bytes from 0x100000 to 0x110000 of the file with its `ss_` fields alone.
    """
    with tempfile.TemporaryDirectory() as scratch:
        # On disk, since whole changes of a large base may be as many bytes as memory has left.
        path = Path(scratch) / "hashed.safetensors"
        save_tensors(path, tensors, {key: value for key, value in metadata.items() if key.startswith("ss_")})
        legacy, whole = legacy_hash(path), content_hash(path)
    return {"sshs_model_hash": whole, "sshs_legacy_hash": legacy, "modelspec.hash_sha256": f"0x{whole}"}

"""Which layers of a base learn, each with its rank and alpha."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from lapel.adapters.names import layer_modules
from lapel.adapters.settings import AdapterSettings, Size
from lapel.errors import UserError

UNET_LAYERS = r".*\.(attn[12]\.(to_q|to_k|to_v|to_out\.0)|ff\.net\.(0\.proj|2)|attentions\.\d+\.(proj_in|proj_out))"
"""The attention blocks' linear layers and their 1x1 projections, as a regular expression over whole module names."""
CONVOLUTION_LAYERS = (
    r".*\.(resnets\.\d+\.(conv1|conv2|conv_shortcut|time_emb_proj)|downsamplers\.0\.conv|upsamplers\.0\.conv)"
)
"""What LoCon adds to them."""
TEXT_LAYERS = r".*\.(self_attn\.(q_proj|k_proj|v_proj|out_proj)|mlp\.(fc1|fc2))"


def target_layers(convolutions: bool) -> str:
    """The regular expression of the UNet's module names that may learn."""
    return f"({UNET_LAYERS})|({CONVOLUTION_LAYERS})" if convolutions else UNET_LAYERS


def layer_sizes(models: Mapping[str, Any], settings: AdapterSettings) -> dict[str, Size]:
    """The layers that learn, by the names that `lapel.adapters.names` has for them, in the order of the models.

    Args:
        models: by part: `unet`, `text_encoder`, `text_encoder_2`.

    Raises:
        UserError: blocks that this base has not, or that hold nothing to learn; each with the nearest known one.
    """
    known, asked = _blocks(models, settings.convolutions), settings.sizes
    # Once the text encoders are given up, it is too late to ask for them, but not to leave them out.
    findings = [
        _unknown(block, models, known)
        for block, size in asked.items()
        if block not in known and (size.rank or "text_encoder" in models)
    ]
    if findings:
        raise UserError(*findings)
    sizes: dict[str, Size] = {}
    for layer in _learnable(models, settings.convolutions):
        # From the layer outwards: the first block that was asked for is the narrowest.
        block = next((block for block in _around(layer) if block in asked), None)
        if block is not None and asked[block].rank:
            sizes[layer] = asked[block]
    if not sizes:
        raise UserError(
            f"blocks {' '.join(settings.blocks)}: nothing is left to learn; name a block with a rank above 0"
        )
    return sizes


def _learnable(models: Mapping[str, Any], convolutions: bool) -> list[str]:
    unet = target_layers(convolutions)
    return [
        name
        for name in layer_modules(models)
        if re.fullmatch(unet if name.startswith("unet.") else TEXT_LAYERS, name.split(".", 1)[1])
    ]


def _around(layer: str) -> list[str]:
    """The blocks that hold a layer, as users name them, the narrowest first."""
    part, module = layer.split(".", 1)
    steps = module.split(".") if part == "unet" else [part, *module.removeprefix("text_model.encoder.").split(".")]
    blocks = [".".join(steps[:end]) for end in range(len(steps), 0, -1)]
    return [*blocks, "unet"] if part == "unet" else blocks


def _blocks(models: Mapping[str, Any], convolutions: bool) -> dict[str, None]:
    return dict.fromkeys(block for layer in _learnable(models, convolutions) for block in _around(layer))


def _unknown(block: str, models: Mapping[str, Any], known: Mapping[str, None]) -> str:
    if block in _blocks(models, convolutions=True):
        return f"blocks: {block} holds nothing to learn but convolutions; add --convolutions"
    near = difflib.get_close_matches(block, known, n=1, cutoff=0.0)
    return f"blocks: this base has no {block}; the nearest is {near[0]}"

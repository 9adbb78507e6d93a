"""Names in the original code (CompVis' and Stability's) of what diffusers and transformers call otherwise.

Single-file checkpoints have them for everything, and front ends know SDXL's adapters by them.
"""

from __future__ import annotations

import re

_PLAIN = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}

_IN_BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
_IN_MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")


def ldm_name(module: str, layers_per_block: int, attention_in_up_block: list[bool]) -> str:
    """The original code's name of a diffusers UNet module.

    Args:
        module: dotted diffusers name of a leaf, such as `down_blocks.1.attentions.0.proj_in`.
        layers_per_block: of the UNet's configuration.
        attention_in_up_block: for each up block, whether it has attention; its upsampler stands behind it.

    Raises:
        KeyError: for a name that no Stable Diffusion UNet has.
    """
    if module in _PLAIN:
        return _PLAIN[module]
    if match := _IN_MIDDLE.fullmatch(module):
        kind, number, rest = match.groups()
        middle = 1 if kind == "attentions" else 2 * int(number)
        return f"middle_block.{middle}.{_RESNET[rest] if kind == 'resnets' else rest}"
    match = _IN_BLOCK.fullmatch(module)
    if match is None:
        raise KeyError(module)
    side, block, kind, number, rest = match.groups()
    i, j, n = int(block), int(number), layers_per_block + 1
    if kind == "downsamplers":
        return f"input_blocks.{n * i + n}.0.op"
    if kind == "upsamplers":
        return f"output_blocks.{n * i + n - 1}.{2 if attention_in_up_block[i] else 1}.conv"
    place = f"input_blocks.{n * i + j + 1}" if side == "down" else f"output_blocks.{n * i + j}"
    return f"{place}.0.{_RESNET[rest]}" if kind == "resnets" else f"{place}.1.{rest}"


_VAE = {
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0": "mid.attn_1",
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
    "conv_shortcut": "nin_shortcut",
    "conv_norm_out": "norm_out",
    "downsamplers.0": "downsample",
    "upsamplers.0": "upsample",
    "resnets": "block",
}
_VAE_LEVEL = re.compile(r"(down|up)_blocks\.(\d+)")


def ldm_vae_name(name: str, levels: int) -> str:
    """The original code's name of a diffusers VAE's weight; it counts the decoder's levels from the other end.

    Args:
        name: such as `decoder.up_blocks.0.resnets.1.conv1.weight`.
        levels: how many blocks the encoder and the decoder each have.
    """
    for theirs, original in _VAE.items():
        name = name.replace(theirs, original)
    match = _VAE_LEVEL.search(name)
    if match is None:
        return name
    side, block = match.group(1), int(match.group(2))
    return name.replace(match.group(), f"{side}.{block if side == 'down' else levels - 1 - block}")


_OPEN_CLIP = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm": "ln_final",
    "text_model.encoder.layers": "transformer.resblocks",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def open_clip_name(name: str) -> str:
    """OpenCLIP's name of a text encoder's weight, but for q, k and v, which it keeps as one (`attn.in_proj_...`).

    Args:
        name: transformers', with its level `text_model`, such as `text_model.encoder.layers.0.mlp.fc1.weight`.
    """
    for theirs, original in _OPEN_CLIP.items():
        name = name.replace(theirs, original)
    return name


def published_name(name: str) -> str:
    """A text encoder's module or weight as published files name it.

    transformers 5.6 and later leave out CLIPTextModel's level `text_model`; no front end finds names without it.
    """
    return name if name.startswith(("text_model.", "text_projection")) else f"text_model.{name}"

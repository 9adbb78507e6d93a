"""A garment encoder in a base: what an image tower sees of a garment becomes tokens that the UNet attends to.

Decoupled cross-attention (IP-Adapter, Ye et al., 2023), in diffusers' own processors and projections.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lapel.adapters.encoder_settings import Form
from lapel.base.base import Base
from lapel.base.quantise import whole_weight

TOKENS: dict[Form, int] = {"plus": 16, "plain": 4}
"""Image tokens by form: front ends know no other numbers."""
_HEAD, _MOST_HEADS, _DEPTH = 64, 12, 4
_WIDE = {2048: (1280, 20)}
"""Hidden width and heads of the resampler for SDXL; otherwise the text's width and as many heads as fit, up to 12."""


def inject_encoder(base: Base, form: Form, width: int, seed: int = 0) -> list[nn.Parameter]:
    """Freeze the base and put a garment encoder into its UNet.

    Its keys and values start as those of the text, which the UNet understands already.

    Args:
        width: of the image tower's features.
        seed: of the projection; the same numbers on every machine and for every precision of the base.

    Returns:
        The trainable parameters, in fp32, in a fixed order.
    """
    from diffusers.models.embeddings import MultiIPAdapterImageProjection

    unet = base.unet.requires_grad_(False)
    processors = dict(unet.attn_processors)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        projection = _projection(form, width, unet.config.cross_attention_dim)
        # On the UNet's device, where the layers' own weights need not be.
        device = unet.device
        added = {name: _processor(unet, name, TOKENS[form]).to(device) for _, name in cross_attentions(unet)}
    unet.set_attn_processor(processors | added)
    unet.encoder_hid_proj = MultiIPAdapterImageProjection([projection]).to(base.device)
    unet.config.encoder_hid_dim_type = "ip_image_proj"  # as diffusers' own loader says it
    parameters = [weight for name in added for weight in added[name].parameters()]
    parameters += list(unet.encoder_hid_proj.parameters())
    for parameter in parameters:
        parameter.requires_grad_(True)
    return parameters


def remove_encoder(base: Base) -> None:
    """Give a UNet back as it was before `inject_encoder`."""
    from diffusers.models.attention_processor import AttnProcessor2_0

    unet = base.unet
    unet.encoder_hid_proj, unet.config.encoder_hid_dim_type = None, None
    plain = {name: AttnProcessor2_0() for _, name in cross_attentions(unet)}
    unet.set_attn_processor(unet.attn_processors | plain)


def cross_attentions(unet: Any) -> Iterator[tuple[int, str]]:
    """The processors that see the text, by name, each with its number in files: its place among all processors."""
    names = [name for name in unet.attn_processors if not name.startswith("encoder_hid_proj")]
    return ((number, name) for number, name in enumerate(names) if name.endswith("attn2.processor"))


def _projection(form: Form, width: int, cross: int) -> nn.Module:
    from diffusers.models.embeddings import ImageProjection, IPAdapterPlusImageProjection

    if form == "plain":
        return ImageProjection(width, cross, TOKENS[form])
    hidden, heads = _WIDE.get(cross, (cross, min(_MOST_HEADS, max(1, cross // _HEAD))))
    return IPAdapterPlusImageProjection(width, cross, hidden, _DEPTH, _HEAD, heads, TOKENS[form])


@torch.no_grad()
def _processor(unet: Any, name: str, tokens: int) -> nn.Module:
    from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0

    attention = unet.get_submodule(name.removesuffix(".processor"))
    to_k, to_v = whole_weight(attention.to_k), whole_weight(attention.to_v)
    with to_k.device:
        processor: Any = IPAdapterAttnProcessor2_0(to_k.shape[0], to_k.shape[1], num_tokens=[tokens])
    processor.to_k_ip[0].weight.copy_(to_k)
    processor.to_v_ip[0].weight.copy_(to_v)
    return processor


def with_photos(conditions: dict[str, Any], features: Tensor) -> dict[str, Any]:
    """What the UNet takes beside latents and timesteps, with photos.

    Args:
        conditions: as `Base.unet_conditions` gives them, for n examples.
        features: (n, ...) of the image tower, one photo an example.
    """
    added = {**conditions.get("added_cond_kwargs", {}), "image_embeds": [features[:, None]]}
    return {**conditions, "added_cond_kwargs": added}


@contextmanager
def strength(unet: Any, value: float) -> Iterator[None]:
    """Within the block, the photos count `value` as much as they were trained to."""
    processors = [unet.attn_processors[name] for _, name in cross_attentions(unet)]
    before = [list(processor.scale) for processor in processors]
    for processor in processors:
        processor.scale = [value] * len(processor.scale)
    try:
        yield
    finally:
        for processor, scale in zip(processors, before, strict=True):
            processor.scale = scale

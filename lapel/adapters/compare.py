"""The same base twice, and what its models give for the same input: how readings of an adapter are compared."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lapel.adapters.layers import change
from lapel.adapters.learned import learned_updates
from lapel.adapters.merge import merge
from lapel.adapters.names import layer_modules
from lapel.adapters.read import Adapter
from lapel.adapters.wear import adapter_name, is_for_peft, load_layers
from lapel.base.base import Base
from lapel.base.quantise import mark_quantised, quantised_layers
from lapel.base.stream import stream, streamed

# Of the output's size: what equal layers may differ by in the output, for the order of sums and the base's rounding.
OUTPUT_NOISE = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 5e-3}
"""By the base's precision."""


def fresh_copy(base: Base) -> Base:
    """The base without its adapter, in new modules that share the frozen weights."""
    return dataclasses.replace(
        base, unet=_fresh_model(base.unet), text_encoders=[_fresh_model(encoder) for encoder in base.text_encoders]
    )


def _fresh_model(model: Any) -> Any:
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        fresh = type(model).from_config(model.config) if hasattr(model, "from_config") else type(model)(model.config)
    # Layers in fewer bits cannot be made from their numbers alone: they are in both models.
    shared = {name.removesuffix(".base_layer"): layer for name, layer in quantised_layers(model)}
    below = tuple(f"{name}." for name in shared)
    own = {key.replace(".base_layer.", "."): value for key, value in model.state_dict().items()}
    own = {key: value for key, value in own.items() if not is_learned(key) and not key.startswith(below)}
    fresh.load_state_dict(own, assign=True, strict=not shared)
    for name, layer in shared.items():
        fresh.set_submodule(name, layer)
    mark_quantised(fresh)
    fresh.requires_grad_(False).eval()
    if streamed(model):
        stream(fresh, model.device)
    elif not shared:
        fresh.to(model.device)
    return fresh


class Probe:
    """Fixed latents and text, and the models' outputs on them.

    Args:
        with_text: whether the text encoders are run too, since they are adapted.
    """

    def __init__(self, base: Base, with_text: bool) -> None:
        generator = torch.Generator().manual_seed(0)
        config = base.unet.config
        # Twice the smallest side that every level of the UNet can halve.
        side = 2 ** len(config.block_out_channels)
        self.latents = torch.randn(1, config.in_channels, side, side, generator=generator)
        self.tokens = None
        if with_text:
            self.tokens = [_some_tokens(encoder.config, generator) for encoder in base.text_encoders]
        self.text = {"prompt_embeds": torch.randn(1, 77, config.cross_attention_dim, generator=generator)}
        if base.family.text_encoders == 2:
            width = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
            self.text["pooled_prompt_embeds"] = torch.randn(1, width, generator=generator)

    @torch.no_grad()
    def outputs(self, base: Base) -> Tensor:
        """The UNet's output, after the text encoders' where these are adapted; flat, fp32."""
        was_training = [model.training for model in (base.unet, *base.text_encoders)]
        for model in (base.unet, *base.text_encoders):
            model.eval()
        text = self.text if self.tokens is None else base.encode_tokens(self.tokens)
        conditions = base.unet_conditions(text, original_size=(512, 512), target_size=(512, 512))
        latents = self.latents.to(base.device, base.dtype)
        output = base.unet(latents, torch.tensor([500], device=base.device), **conditions).sample
        for model, training in zip((base.unet, *base.text_encoders), was_training, strict=True):
            model.train(training)
        encoded = [text[key].float().flatten() for key in sorted(text)] if self.tokens is not None else []
        return torch.cat([output.float().flatten(), *encoded]).cpu()


def _some_tokens(config: Any, generator: torch.Generator) -> Tensor:
    tokens = torch.randint(0, config.vocab_size - 2, (1, 1, 77), generator=generator)
    tokens[..., 0], tokens[..., -1] = config.vocab_size - 2, config.vocab_size - 1  # start and end, as CLIP has them
    return tokens


def is_learned(key: str) -> bool:
    """Whether a weight in a model with peft's layers is an adapter's."""
    return any(f".{kind}" in key for kind in ("lora_", "hada_", "lokr_"))


def to_fp32(model: nn.Module, adapter: str) -> None:
    """Compute the loaded layers as the trained ones are computed."""
    for key, parameter in model.named_parameters():
        if ".lora_" in key and f".{adapter}." in key:
            parameter.data = parameter.data.float()


def coarsest(adapter: Adapter) -> torch.dtype:
    return coarser(*(tensor.dtype for layer in adapter.layers.values() for tensor in layer.values()))


def coarser(*dtypes: torch.dtype) -> torch.dtype:
    return max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)


def relative(output: Tensor | None, trained: Tensor, bare: Tensor) -> tuple[float | None, float]:
    size = trained.norm().item()
    error = None if output is None else (output - trained).norm().item() / size
    return error, (trained - bare).norm().item() / size


@dataclass(frozen=True)
class Agreement:
    """An adapter, worn by its formulas and by diffusers' loader. Norms are Frobenius', errors relative."""

    layers: int
    worst_layer: float
    """|one - other| / |other| of the layer that differs most."""
    output: float
    """The same of the UNet's output, and the text encoders' where they are adapted."""
    effect: float
    """|worn - bare| / |worn| of the same output."""
    close: bool
    """Whether both differ by no more than the precisions of file and base allow."""


@torch.no_grad()
def readings_agree(base: Base, adapter: Adapter) -> Agreement | None:
    """Wear a file both ways on copies of the base that share its memory; None for what diffusers does not read.

    Raises:
        UserError: the file fits another base.
    """
    if not is_for_peft(adapter):
        return None
    probe = Probe(base, any(not name.startswith("unet.") for name in adapter.layers))
    bare, merged, loaded = probe.outputs(base), fresh_copy(base), fresh_copy(base)
    merge(adapter, layer_modules(merged.models))
    name = adapter_name(0, adapter.path)
    load_layers(loaded.pipeline(), adapter.path, name)
    for model in loaded.models.values():
        to_fp32(model, name)
    updates = {update.name: update for update in learned_updates(loaded, name)}
    worst = 1.0 if updates.keys() != adapter.layers.keys() else 0.0
    for layer in updates.keys() & adapter.layers.keys():
        weight = updates[layer].weight
        expected = change(adapter.layers[layer], weight.shape, weight)
        error = (updates[layer].difference() - expected).norm() / expected.norm().clamp_min(1e-30)
        worst = max(worst, error.item())
    error, effect = relative(probe.outputs(loaded), probe.outputs(merged), bare)
    assert error is not None, "both were run"
    eps = torch.finfo(coarser(coarsest(adapter), base.dtype)).eps
    close = worst <= 8 * eps and error <= 0.02 * effect + OUTPUT_NOISE[base.dtype]
    return Agreement(len(updates), worst, error, effect, close)

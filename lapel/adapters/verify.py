"""Read exported files back and compare them with the model that was trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lapel.adapters.inject import LayerUpdate, learned_updates
from lapel.adapters.merge import difference, learned_stems, merge, weights_by_stem
from lapel.adapters.wear import adapter_name, load_layers, parts_of
from lapel.base.base import Base

# Of the output's size: what equal layers may differ by in the output, for the order of sums and the base's rounding.
_OUTPUT_NOISE = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 5e-3}


@dataclass(frozen=True)
class Reading:
    """One file, read one way, against the trained model. Norms are Frobenius', errors relative."""

    file: str
    way: str
    """`merged`: by the formula into the base's weights; `diffusers`: by `load_lora_weights`."""
    layers: int
    layer_error: float
    """The worst layer's |read - trained| as a share of what rounding to the file's precision allows; at most 1."""
    output_error: float | None
    """|read - trained| / |trained| of the UNet's output on the same latents and text; None where it was not run."""
    effect: float
    """|trained - base| / |trained| of the same output: what the adapter does."""


def verify_adapter(base: Base, files: Sequence[Path]) -> list[Reading]:
    """Read adapter files back into fresh copies of the models and compare every layer and the outputs.

    kohya's layout is read twice: by this project's own formula, merged into the weights, and, but for whole
    differences, which diffusers does not read, by diffusers' loader. diffusers' layout is read by diffusers. The fresh
    copies share the frozen base's memory.

    Raises:
        RuntimeError: a file does not give the trained model back; the message names the file and the layer.
    """
    updates = learned_updates(base)
    probe = _Probe(base, updates)
    trained = probe.outputs(base)
    bare = probe.outputs(_fresh(base))
    readings = []
    for path in files:
        tensors = _load(path)
        if not any(".lora_A." in key for key in tensors):
            readings.append(_read_merged(base, path, tensors, updates, probe, trained, bare))
        if not any(key.endswith(".diff") for key in tensors):
            readings.append(_read_by_diffusers(base, path, tensors, updates, probe, trained, bare))
    return readings


def _load(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _fresh(base: Base) -> Base:
    """The base without its adapter, in new modules that share the frozen weights."""
    return dataclasses.replace(
        base, unet=_fresh_model(base.unet), text_encoders=[_fresh_model(encoder) for encoder in base.text_encoders]
    )


def _fresh_model(model: Any) -> Any:
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        fresh = type(model).from_config(model.config) if hasattr(model, "from_config") else type(model)(model.config)
    state = model.state_dict()
    fresh.load_state_dict(
        {key.replace(".base_layer.", "."): value for key, value in state.items() if ".lora_" not in key}, assign=True
    )
    return fresh.to(model.device).requires_grad_(False).eval()


class _Probe:
    """Fixed latents and text, and the models' outputs on them."""

    def __init__(self, base: Base, updates: Sequence[LayerUpdate]) -> None:
        generator = torch.Generator().manual_seed(0)
        config = base.unet.config
        # Twice the smallest side that every level of the UNet can halve.
        side = 2 ** len(config.block_out_channels)
        self.latents = torch.randn(1, config.in_channels, side, side, generator=generator)
        self.tokens = None
        if any(update.part != "unet" for update in updates):
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
    tokens = torch.randint(0, config.vocab_size - 2, (1, 77), generator=generator)
    tokens[0, 0], tokens[0, -1] = config.vocab_size - 2, config.vocab_size - 1  # start and end, as CLIP has them
    return tokens


def _read_merged(
    base: Base,
    path: Path,
    tensors: Mapping[str, Tensor],
    updates: Sequence[LayerUpdate],
    probe: _Probe,
    trained: Tensor,
    bare: Tensor,
) -> Reading:
    fresh = _fresh(base)
    layers = weights_by_stem(base.family, _parts(fresh))
    stems = {layers[name][0]: name for name in learned_stems(tensors, layers)}

    def read(name: str) -> Tensor:
        return difference(tensors, stems[name], layers[stems[name]][1].weight.shape)

    worst = _compare_layers(path, updates, list(stems), read, _dtype(tensors))
    output = None
    # Merging rounds W + delta to the base's precision, which below fp32 would drown the file's own.
    if base.dtype == torch.float32:
        merge(tensors, layers)
        output = probe.outputs(fresh)
    return _judge(Reading(path.name, "merged", len(stems), worst, *_relative(output, trained, bare)), base)


def _read_by_diffusers(
    base: Base,
    path: Path,
    tensors: Mapping[str, Tensor],
    updates: Sequence[LayerUpdate],
    probe: _Probe,
    trained: Tensor,
    bare: Tensor,
) -> Reading:
    fresh = _fresh(base)
    pipeline = fresh.pipeline()
    name = adapter_name(0, path)
    load_layers(pipeline, path, name)
    for model in parts_of(pipeline).values():
        _to_fp32(model, name)
    loaded = {f"{update.part}.{update.module}": update for update in learned_updates(fresh, name)}
    # diffusers keeps what it loads in the base's precision.
    dtype = _coarser(_dtype(tensors), base.dtype)
    worst = _compare_layers(path, updates, list(loaded), lambda layer: loaded[layer].difference(), dtype)
    output = probe.outputs(fresh)
    return _judge(Reading(path.name, "diffusers", len(loaded), worst, *_relative(output, trained, bare)), base)


def _parts(base: Base) -> dict[str, nn.Module]:
    return {"unet": base.unet, **dict(zip(("text_encoder", "text_encoder_2"), base.text_encoders, strict=False))}


def _to_fp32(model: nn.Module, adapter: str) -> None:
    """Compute the loaded layers as the trained ones are computed."""
    for key, parameter in model.named_parameters():
        if ".lora_" in key and f".{adapter}." in key:
            parameter.data = parameter.data.float()


def _dtype(tensors: Mapping[str, Tensor]) -> torch.dtype:
    return _coarser(*(tensor.dtype for tensor in tensors.values()))


def _coarser(*dtypes: torch.dtype) -> torch.dtype:
    return max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)


def _compare_layers(
    path: Path,
    updates: Sequence[LayerUpdate],
    names: Sequence[str],
    read: Callable[[str], Tensor],
    dtype: torch.dtype,
) -> float:
    """The worst layer's error as a share of what rounding to `dtype` allows.

    Raises:
        RuntimeError: the file has other layers than were trained, or one differs by more than rounding.
    """
    trained = {f"{update.part}.{update.module}": update for update in updates}
    if trained.keys() != set(names):
        odd = sorted(trained.keys() ^ set(names))
        raise RuntimeError(
            f"{path}: {len(names)} layers read back, {len(trained)} trained; the first that differs: {odd[0]}"
        )
    worst, where = 0.0, ""
    for name, update in trained.items():
        expected = update.difference().cpu()
        share = (read(name).cpu() - expected).norm().item() / _allowed(update, expected, dtype)
        if not share <= worst:  # so that NaN is found too
            worst, where = share, name
    if not worst <= 1:
        raise RuntimeError(f"{path}: {where} is not what was trained ({worst:.3g} times the rounding error)")
    return worst


def _allowed(update: LayerUpdate, difference: Tensor, dtype: torch.dtype) -> float:
    """A bound on what rounding the two factors, or the difference, to `dtype` and computing in fp32 changes."""
    eps, smallest = torch.finfo(dtype).eps, torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    up, down = update.up.norm().item(), update.down.norm().item()
    factors = eps * up * down + smallest * (up * update.down.numel() ** 0.5 + down * update.up.numel() ** 0.5)
    whole = eps * difference.norm().item() + smallest * difference.numel() ** 0.5
    # fp32 sums; and DoRA's magnitude, which scales the whole weight, once read into the base's precision.
    size = update.weight.float().norm().item()
    magnitude = 0.0 if update.magnitude is None else torch.finfo(update.weight.dtype).eps * size
    return update.scale * factors + whole + 1e-6 * size + magnitude


def _relative(output: Tensor | None, trained: Tensor, bare: Tensor) -> tuple[float | None, float]:
    size = trained.norm().item()
    error = None if output is None else (output - trained).norm().item() / size
    return error, (trained - bare).norm().item() / size


def _judge(reading: Reading, base: Base) -> Reading:
    allowed = 0.02 * reading.effect + _OUTPUT_NOISE[base.dtype]
    if reading.output_error is not None and not reading.output_error <= allowed:
        raise RuntimeError(
            f"{reading.file}, read as {reading.way}: the UNet's output differs by {reading.output_error:.2%} from the "
            f"trained model's; {allowed:.2%} is what the file's precision allows"
        )
    return reading


def reading_lines(readings: Sequence[Reading]) -> list[str]:
    """The table for people: one line per reading."""
    lines = [f"{'file':36} {'read by':10} {'layers':>6} {'effect':>8} {'error':>8}"]
    for reading in readings:
        error = "-" if reading.output_error is None else f"{reading.output_error:.4%}"
        lines.append(f"{reading.file:36} {reading.way:10} {reading.layers:6} {reading.effect:8.2%} {error:>8}")
    return lines

"""Read exported files back and compare them with the model that was trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lapel.adapters.compare import OUTPUT_NOISE, Probe, coarser, coarsest, fresh_copy, relative, to_fp32
from lapel.adapters.diffusers_layout import diffusers_holds
from lapel.adapters.export import LEFT_OUT, NEAR
from lapel.adapters.layers import Layer, change
from lapel.adapters.learned import LayerUpdate, learned_updates
from lapel.adapters.merge import merge
from lapel.adapters.names import layer_modules, names_of
from lapel.adapters.read import Adapter, read_adapter
from lapel.adapters.wear import adapter_name, load_layers, parts_of
from lapel.base.base import Base
from lapel.base.quantise import quantised_layers, whole_weight


@dataclass(frozen=True)
class Reading:
    """One file, read one way, against the trained model. Norms are Frobenius', errors relative."""

    file: str
    way: str
    """`merged`: by the formula into the base's weights; `diffusers`: by `load_lora_weights`; `base`: as one;
    `tensors`: by name, of a base that no loader knows."""
    layers: int
    layer_error: float
    """The worst layer's |read - trained| as a share of what rounding to the file's precision allows; at most 1."""
    output_error: float | None
    """|read - trained| / |trained| of the UNet's output on the same latents and text; None where it was not run."""
    effect: float
    """|trained - base| / |trained| of the same output: what the adapter does."""
    left_out: float | None = None
    """The share of the change that the file states to leave out; None but where it holds the nearest LoRA."""


def verify_adapter(base: Base, files: Sequence[Path]) -> list[Reading]:
    """Read adapter files back into fresh copies of the models and compare every layer and the outputs.

    kohya's layout is read twice: by this project's own formula, merged into the weights, and, but for whole
    differences, which diffusers does not read, by diffusers' loader. diffusers' layout is read by diffusers. The fresh
    copies share the frozen base's memory.

    Raises:
        RuntimeError: a file does not give the trained model back; the message names the file and the layer.
    """
    updates, names = learned_updates(base), names_of(base.family, base.models)
    probe = Probe(base, any(update.part != "unet" for update in updates))
    trained = probe.outputs(base)
    bare = probe.outputs(fresh_copy(base))
    readings = []
    for path in files:
        adapter = read_adapter(path, names)
        if adapter.layout == "kohya":
            readings.append(_read_merged(base, adapter, updates, probe, trained, bare))
        if all(diffusers_holds(layer) for layer in adapter.layers.values()):
            readings.append(_read_by_diffusers(base, adapter, updates, probe, trained, bare))
    return readings


def _read_merged(
    base: Base,
    adapter: Adapter,
    updates: Sequence[LayerUpdate],
    probe: Probe,
    trained: Tensor,
    bare: Tensor,
) -> Reading:
    fresh = fresh_copy(base)
    modules = layer_modules(fresh.models)

    def read(name: str) -> Tensor:
        weight = whole_weight(modules[name])
        return change(adapter.layers[name], weight.shape, weight)

    worst = _compare_layers(adapter, updates, list(adapter.layers), read, coarsest(adapter))
    output = None
    # Merging rounds W + delta to the base's precision, which below fp32 would drown the file's own.
    if base.dtype == torch.float32 and not any(quantised_layers(base.unet)):
        merge(adapter, modules)
        output = probe.outputs(fresh)
    return _judge(
        Reading(adapter.path.name, "merged", len(adapter.layers), worst, *relative(output, trained, bare)), base
    )


def _read_by_diffusers(
    base: Base,
    adapter: Adapter,
    updates: Sequence[LayerUpdate],
    probe: Probe,
    trained: Tensor,
    bare: Tensor,
) -> Reading:
    fresh = fresh_copy(base)
    pipeline = fresh.pipeline()
    name = adapter_name(0, adapter.path)
    load_layers(pipeline, adapter.path, name)
    for model in parts_of(pipeline).values():
        to_fp32(model, name)
    loaded = {update.name: update for update in learned_updates(fresh, name)}
    # diffusers keeps what it loads in the base's precision.
    dtype = coarser(coarsest(adapter), base.dtype)
    worst = _compare_layers(adapter, updates, list(loaded), lambda layer: loaded[layer].difference(), dtype)
    compared = relative(probe.outputs(fresh), trained, bare)
    left_out = float(adapter.metadata[LEFT_OUT]) if LEFT_OUT in adapter.metadata else None
    return _judge(Reading(adapter.path.name, "diffusers", len(loaded), worst, *compared, left_out), base)


def _compare_layers(
    adapter: Adapter,
    updates: Sequence[LayerUpdate],
    names: Sequence[str],
    read: Callable[[str], Tensor],
    dtype: torch.dtype,
) -> float:
    """The worst layer's error as a share of what rounding to `dtype` allows, and, in a nearest LoRA, what it may leave.

    Raises:
        RuntimeError: the file has other layers than were trained, or one differs by more than rounding.
    """
    trained = {update.name: update for update in updates}
    if trained.keys() != set(names):
        odd = sorted(trained.keys() ^ set(names))
        raise RuntimeError(
            f"{adapter.path}: {len(names)} layers read back, {len(trained)} trained; the first that differs: {odd[0]}"
        )
    worst, where = 0.0, ""
    for name, update in trained.items():
        expected = update.difference().cpu()
        allowed = _allowed(adapter.layers[name], update.weight, expected, dtype)
        if LEFT_OUT in adapter.metadata:
            assert NEAR.energy is not None, "it is how near a nearest LoRA comes"
            allowed += (1 - NEAR.energy) ** 0.5 * expected.norm().item()
        share = (read(name).cpu() - expected).norm().item() / allowed
        if not share <= worst:  # so that NaN is found too
            worst, where = share, name
    if not worst <= 1:
        raise RuntimeError(f"{adapter.path}: {where} is not what was trained ({worst:.3g} times the rounding error)")
    return worst


def _allowed(stored: Layer, weight: Tensor, difference: Tensor, dtype: torch.dtype) -> float:
    """A bound on what rounding a file's tensors, or the difference, to `dtype` and computing in fp32 changes."""
    kinds = torch.finfo(dtype)
    factors = {kind: tensor for kind, tensor in stored.items() if kind not in ("alpha", "dora_scale")}
    # Each is off by half of eps, relative to its size or to the smallest that keeps all its digits.
    sizes = {kind: tensor.float().abs().clamp_min(kinds.smallest_normal) for kind, tensor in factors.items()}
    alpha = {"alpha": stored["alpha"].float()} if "alpha" in stored else {}
    rounding = kinds.eps * len(factors) / 2 * change({**sizes, **alpha}, weight.shape).norm().item()
    whole = kinds.eps * difference.norm().item() + kinds.eps * kinds.smallest_normal * difference.numel() ** 0.5
    # fp32 sums; and DoRA's magnitude, which scales the whole weight, once read into the base's precision.
    size = weight.float().norm().item()
    magnitude = torch.finfo(weight.dtype).eps * size if "dora_scale" in stored else 0.0
    return rounding + whole + 1e-6 * size + magnitude


def _judge(reading: Reading, base: Base) -> Reading:
    allowed = 0.02 * reading.effect + OUTPUT_NOISE[base.dtype]
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
        if reading.left_out is not None:
            lines.append(f"  the nearest LoRA: {reading.left_out:.3%} of the change is left out")
    return lines

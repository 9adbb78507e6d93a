"""The ways that an adapter of `evaluation.formats` goes: through layouts, and through diffusers' loader."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lapel.adapters.compare import Probe, fresh_copy, relative, to_fp32
from lapel.adapters.diffusers_layout import diffusers_holds
from lapel.adapters.export import write_adapter
from lapel.adapters.inject import inject
from lapel.adapters.kinds import DOWN, UP, Layout
from lapel.adapters.layers import Layer, Layers, change, is_low_rank, scale_of, weights_of
from lapel.adapters.learned import learned_updates
from lapel.adapters.merge import merge
from lapel.adapters.names import Names, layer_modules, names_of
from lapel.adapters.read import Adapter, read_adapter
from lapel.adapters.settings import AdapterSettings
from lapel.adapters.wear import adapter_name, is_for_peft, load_layers
from lapel.base.base import DTYPES, Base
from lapel.base.settings import Precision

LAYOUTS: tuple[Layout, ...] = ("kohya", "diffusers", "peft")


@dataclass(frozen=True)
class Way:
    """What is left of an adapter at the end of one way."""

    kind: str
    precision: str
    """Of the files."""
    name: str
    """The way, for people."""
    column: str
    """Of the table: the layout, `converted`, or `loader` for diffusers' own."""
    layers: int
    tensors: int
    """That the file holds."""
    difference: float
    """|found - learned| / |learned| of the layer that differs most; Frobenius' norm."""
    output: float | None = None
    """The same of the UNet's and text encoders' outputs; None where they were not run."""


@torch.no_grad()
def learn(base: Base, kind: str) -> None:
    """Put an adapter into the base that changes every layer by 0.3 of its weight's norm; a DoRA the lengths by 0.1."""
    settings = AdapterSettings(
        kind="dora" if kind == "DoRA" else "lora",
        rank=8,
        alpha=4,
        convolutions=kind == "LoCon",
        blocks=list(base.models),
    )
    inject(base, settings)
    generator = torch.Generator().manual_seed(1)
    for model in base.models.values():
        for module in model.modules():
            for name, down in getattr(module, "lora_A", {}).items():
                up = module.lora_B[name].weight
                up.data = torch.randn(up.shape, generator=generator)
                size = _norm([(up.data.flatten(1), down.weight.data.flatten(1))])
                weight = module.get_base_layer().weight
                up.data *= 0.3 * torch.linalg.vector_norm(weight, dtype=torch.float32).item() / size
                if name in module.lora_magnitude_vector:
                    lengths = module.lora_magnitude_vector[name].weight
                    lengths.data *= 1 + 0.1 * torch.randn(lengths.shape, generator=generator)


def ways_of(base: Base, kind: str, folder: Path) -> list[Way]:
    """Every way of the base's adapter; files are written into `folder`."""
    learned = {update.name: update.layer for update in learned_updates(base)}
    names, weights = names_of(base.family, base.models), weights_of(layer_modules(base.models))
    trip = Trip(kind, names, learned, weights, folder)
    ways = [way for precision in ("fp32", "fp16") for way in trip.layouts(precision)]
    if kind == "DoRA":
        columns = {name: _by_column(layer, weights[name]) for name, layer in learned.items()}
        ways += Trip("DoRA by columns", names, columns, weights, folder).in_kohya()
    return [*ways, *_by_diffusers(base, trip)]


@dataclass(frozen=True)
class Trip:
    """One adapter on its way through the layouts."""

    kind: str
    names: Names
    learned: Layers
    weights: Mapping[str, Tensor]
    folder: Path

    def path(self, name: str, precision: str, layout: Layout) -> Path:
        """Where a file goes; peft's layout is a folder."""
        return self.folder / f"{name}-{precision}{'' if layout == 'peft' else '.safetensors'}"

    def layouts(self, precision: Precision) -> Iterator[Way]:
        """Each layout written and read, and each one converted into each other that can hold it."""
        start = Adapter(self.folder, "kohya", self.names, self.learned, {})
        for layout in self._reachable(start, precision):
            first = self._through(start, layout, layout, precision)
            yield self._way(first, layout, layout, precision)
            for other in self._reachable(first, precision):
                if other != layout:
                    second = self._through(first, other, f"{layout}-{other}", precision)
                    yield self._way(second, f"{layout} to {other}", "converted", precision)

    def in_kohya(self) -> Iterator[Way]:
        """For what that layout alone can hold."""
        start = Adapter(self.folder, "kohya", self.names, self.learned, {})
        for precision in ("fp32", "fp16"):
            found = self._through(start, "kohya", "columns", precision)
            yield self._way(found, "kohya", "kohya", precision)

    def _reachable(self, adapter: Adapter, precision: str) -> list[Layout]:
        held = all(diffusers_holds(layer) for layer in adapter.layers.values())
        # Whole changes in fp32 are more than SDXL leaves of the memory.
        whole = self.kind == "DoRA" and precision == "fp32" and self.names.family.name == "sdxl"
        return [layout for layout in LAYOUTS if (held or layout == "kohya") and not (whole and layout == "kohya")]

    def _through(self, adapter: Adapter, layout: Layout, name: str, precision: Precision) -> Adapter:
        path = self.path(name, precision, layout)
        write_adapter(adapter, layout, path, DTYPES[precision], self.weights)
        return read_adapter(path, self.names)

    def _way(self, found: Adapter, name: str, column: str, precision: str) -> Way:
        worst = self.worst(found.layers)
        print(f"  {self.kind} {precision} {name}: {len(found.layers)} layers, {worst:.1e}", flush=True)
        return Way(self.kind, precision, name, column, len(found.layers), tensors_in(found), worst)

    def worst(self, found: Layers) -> float:
        """The difference of the layer that differs most; 1 where the layers are not the learned ones."""
        if found.keys() != self.learned.keys():
            return 1.0
        return max(_difference(found[name], layer, self.weights[name]) for name, layer in self.learned.items())


def tensors_in(adapter: Adapter) -> int:
    """How many tensors the file holds."""
    return sum(len(layer) for layer in adapter.layers.values())


def _difference(found: Layer, learned: Layer, weight: Tensor) -> float:
    if all(is_low_rank(layer) and "dora_scale" not in layer for layer in (found, learned)):
        factors = [_factors(found), _factors(learned)]
        both = (torch.cat([factors[0][0], -factors[1][0]], dim=1), torch.cat([factors[0][1], factors[1][1]]))
        return _norm([both]) / _norm([factors[1]])
    expected = change(learned, weight.shape, weight)
    return ((change(found, weight.shape, weight) - expected).norm() / expected.norm()).item()


def _factors(layer: Layer) -> tuple[Tensor, Tensor]:
    return scale_of(layer) * layer[UP].double().flatten(1), layer[DOWN].double().flatten(1)


def _norm(products: list[tuple[Tensor, Tensor]]) -> float:
    """Frobenius' norm of a sum of up @ down, which is not multiplied out: the trace of the Gram matrices' product."""
    ups, downs = zip(*products, strict=True)
    up, down = torch.cat(ups, dim=1).double(), torch.cat(downs).double()
    return ((up.T @ up) * (down @ down.T)).sum().clamp_min(0).sqrt().item()


def _by_column(layer: Layer, weight: Tensor) -> Layer:
    """The same factors with a length for each column, as front ends have DoRA: 0.9 to 1.1 of the weight's own."""
    lengths = torch.linalg.vector_norm(weight.float().transpose(0, 1).flatten(1), dim=1)
    lengths *= torch.linspace(0.9, 1.1, len(lengths))
    return {**layer, "dora_scale": lengths.reshape(1, -1, *[1] * (weight.dim() - 2))}


@torch.no_grad()
def _by_diffusers(base: Base, trip: Trip) -> Iterator[Way]:
    """The files in fp16 read by diffusers' own loader, and the outputs; whole changes are merged by the formula."""
    probe = Probe(base, with_text=True)
    trained, bare = probe.outputs(base), probe.outputs(fresh_copy(base))
    for layout in ("kohya", "diffusers"):
        path = trip.path(layout, "fp16", layout)
        adapter = read_adapter(path, trip.names)
        if is_for_peft(adapter):
            worn, found = _loaded(base, path)
            layers, difference = len(found), trip.worst(found)
            output, effect = relative(probe.outputs(worn), trained, bare)
        elif base.dtype == torch.float32:
            worn = fresh_copy(base)
            layers = merge(adapter, layer_modules(worn.models))
            difference, (output, effect) = trip.worst(adapter.layers), relative(probe.outputs(worn), trained, bare)
        else:
            continue  # merging rounds the sum to the base's precision, which drowns the file's own
        print(f"  {trip.kind} outputs, {layout}: {output:.1e} of an effect of {effect:.0%}", flush=True)
        yield Way(
            trip.kind, "fp16", f"{layout} by diffusers", "loader", layers, tensors_in(adapter), difference, output
        )
        del worn


def _loaded(base: Base, path: Path) -> tuple[Base, Layers]:
    """A copy of the base that wears the file by diffusers' loader, and its layers as peft has them."""
    worn: Any = fresh_copy(base)
    name = adapter_name(0, path)
    load_layers(worn.pipeline(), path, name)
    for model in worn.models.values():
        to_fp32(model, name)
    return worn, {update.name: update.layer for update in learned_updates(dataclasses.replace(worn), name)}

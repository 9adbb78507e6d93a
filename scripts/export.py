"""Convert, merge, resize and extract: python scripts/export.py FILE [FILE ...] --to LAYOUT --output PATH [settings]

What comes in and what is to go out say what is done. Adapters become one adapter in the layout: several are added up,
each times its weight; --rank or --energy make it a smaller LoRA. With --to single_file or folder they are merged into
--base. A base becomes a single file or a diffusers folder; with an adapter's layout, the adapter that lies between it
and --base is extracted. Nothing is dropped silently.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lapel.base.settings import BaseSettings, Precision
from lapel.errors import UserError, run_program
from lapel.quiet import quiet
from lapel.settings import read_settings

if TYPE_CHECKING:
    from torch import Tensor

    from lapel.adapters.kinds import Layout
    from lapel.adapters.layers import Layers
    from lapel.adapters.read import Adapter
    from lapel.base.base import Base


@dataclass
class ExportSettings:
    """What is exported, and how."""

    file: list[str]
    """Adapters (kohya's, LyCORIS', diffusers' or peft's layout), or one base (single file, folder or hub id). May be
    given without the flag, as the first words."""

    to: Literal["kohya", "diffusers", "peft", "single_file", "folder"]
    """The layout to write: of an adapter (kohya for WebUI, Forge, ComfyUI and InvokeAI; diffusers; peft), or of a base
    (single_file, or a diffusers folder)."""

    output: Path
    """The .safetensors file to write; for peft and folder, the folder."""

    base: str | None = None
    """What adapters are merged into, or what was trained to become the base that is given; also needed for DoRA and
    wherever a change depends on the base's weights."""

    weight: list[float] = field(default_factory=lambda: [1.0])
    """A factor for each adapter, or one for all."""

    rank: int | None = None
    """Rank of every layer at most: the nearest LoRA is written, and its error printed."""

    energy: float | None = None
    """Share of each layer's squared norm that is kept at least, such as 0.99: ranks differ by layer then."""

    precision: Precision = "fp16"
    """Of the stored numbers; every reader takes fp16."""

    allow_loss: bool = False
    """Drop what the layout has no place for, and say what; an error otherwise."""

    def __post_init__(self) -> None:
        """One weight for all adapters becomes one for each.

        Raises:
            UserError: every setting that makes no sense, a line each.
        """
        findings = []
        if len(self.weight) == 1:
            self.weight = self.weight * len(self.file)
        if len(self.weight) != len(self.file):
            findings.append(f"{len(self.weight)} weights for {len(self.file)} files; give one for each, or one")
        if self.rank is not None and self.rank < 1:
            findings.append(f"rank is {self.rank}; it must be 1 or more")
        if self.energy is not None and not 0 < self.energy <= 1:
            findings.append(f"energy is {self.energy:g}; it must be above 0 and at most 1")
        if self.to in ("kohya", "diffusers", "single_file") and self.output.suffix != ".safetensors":
            findings.append(f"{self.output}: name a .safetensors file with --output")
        if findings:
            raise UserError(*findings)

    @property
    def to_a_base(self) -> bool:
        """Whether a base is written, not an adapter."""
        return self.to in ("single_file", "folder")


def main() -> None:
    """Tell adapters from bases, and do what they and the layout ask for."""
    argv = sys.argv[1:]
    (settings,) = read_settings(
        __doc__ or "", ExportSettings, argv=["--file", *argv] if argv and not argv[0].startswith("-") else argv
    )
    quiet()
    from lapel.adapters.find import is_adapter

    adapters = [name for name in settings.file if is_adapter(Path(name))]
    if adapters and len(adapters) < len(settings.file):
        odd = next(name for name in settings.file if name not in adapters)
        raise UserError(f"{odd}: not an adapter, while {adapters[0]} is one; give adapters, or one base")
    if not adapters and len(settings.file) > 1:
        raise UserError(f"{settings.file[0]}: not an adapter; bases are exported one at a time")
    if settings.to_a_base:
        base = load(settings.base if adapters else settings.file[0], settings.precision, settings)
        if adapters:
            merge_into(base, settings)
        save_base(base, settings)
    else:
        save(combined(settings) if adapters else extracted(settings), settings)


def load(name: str | None, precision: Precision, settings: ExportSettings) -> Base:
    """The base of that name, of any kind.

    Raises:
        UserError: there is no name, or no such base.
    """
    from lapel.base.load import load_base

    if name is None:
        raise UserError(f"{settings.file[0]}: an adapter changes a base; name the one to merge into with --base")
    return load_base(BaseSettings(base=name, precision=precision))


def merge_into(base: Base, settings: ExportSettings) -> None:
    """Add every adapter, times its weight, to the base's weights."""
    from lapel.adapters.merge import merge
    from lapel.adapters.names import layer_modules, names_of
    from lapel.adapters.read import read_adapter

    names, modules = names_of(base.family, base.models), layer_modules(base.models)
    for name, weight in zip(settings.file, settings.weight, strict=True):
        count = merge(read_adapter(Path(name), names), modules, weight)
        print(f"{name}: {count} layers merged at {weight:g}")


def save_base(base: Base, settings: ExportSettings) -> None:
    """Write the base as a single file or a diffusers folder."""
    from lapel.base.base import DTYPES
    from lapel.base.save import save_folder, save_single_file

    write = save_folder if settings.to == "folder" else save_single_file
    write(base, settings.output, DTYPES[settings.precision])
    print(f"{settings.output}: {base.family.title}, {base.prediction_type}, {settings.precision}")


def combined(settings: ExportSettings) -> tuple[Adapter, Mapping[str, Tensor] | None]:
    """The adapters as one, and the weights of the base where one is named."""
    from lapel.adapters.combine import summed
    from lapel.adapters.names import names_of
    from lapel.adapters.read import read_adapter

    base = None if settings.base is None else load(settings.base, "fp32", settings)
    names = None if base is None else names_of(base.family, base.models)
    adapters = [read_adapter(Path(name), names) for name in settings.file]
    weights = None if base is None else base_weights(base)
    other = next((one for one in adapters if one.names.family != adapters[0].names.family), None)
    if other is not None:
        one, two = adapters[0].names.family.title, other.names.family.title
        raise UserError(f"{other.path}: for {two}, while {adapters[0].path} is for {one}; they do not add up")
    if len(adapters) == 1 and settings.weight == [1.0]:
        return adapters[0], weights
    total = summed([adapter.layers for adapter in adapters], settings.weight, weights)
    return dataclasses.replace(adapters[0], layers=total), weights


def extracted(settings: ExportSettings) -> tuple[Adapter, Mapping[str, Tensor] | None]:
    """The adapter that lies between the base that is given and the one that it was trained from."""
    from lapel.adapters.combine import difference_of
    from lapel.adapters.names import names_of
    from lapel.adapters.read import Adapter

    if settings.base is None:
        raise UserError(f"{settings.file[0]}: a base; name the one that it was trained from with --base")
    tuned, original = (load(name, "fp32", settings) for name in (settings.file[0], settings.base))
    layers = difference_of(base_weights(tuned), base_weights(original))
    if not layers:
        raise UserError(f"{settings.file[0]}: no layer differs from {settings.base}")
    drop(rest_that_differs(tuned, original), "no layers that an adapter changes", settings)
    names = names_of(original.family, original.models)
    stated = {"ss_sd_model_name": original.name, "ss_new_sd_model_hash": original.hash}
    return Adapter(Path(settings.file[0]), "kohya", names, layers, stated), None


def base_weights(base: Base) -> Mapping[str, Tensor]:
    """The weights that adapters change, by layer."""
    from lapel.adapters.layers import weights_of
    from lapel.adapters.names import layer_modules

    return weights_of(layer_modules(base.models))


def rest_that_differs(tuned: Base, original: Base) -> list[str]:
    """The weights that differ between two bases and that no adapter changes: norms, biases, embeddings."""
    from lapel.adapters.names import layer_modules

    found = []
    for part, model in tuned.models.items():
        layers = {f"{name.split('.', 1)[1]}.weight" for name in layer_modules({part: model})}
        state, before = model.state_dict(), original.models[part].state_dict()
        found += [
            f"{part}.{name}"
            for name, value in state.items()
            if name not in layers and f"text_model.{name}" not in layers and not value.equal(before[name])
        ]
    return found


def drop(names: list[str], reason: str, settings: ExportSettings) -> None:
    """Say what is left out, or refuse to leave it out.

    Raises:
        UserError: there is something, and `--allow_loss` was not given.
    """
    if not names:
        return
    told = f"{len(names)} weights have {reason}, {names[0]} for one"
    if not settings.allow_loss:
        raise UserError(f"{settings.file[0]}: {told}; leave them out with --allow_loss")
    print(f"dropped: {told}", file=sys.stderr)


def save(found: tuple[Adapter, Mapping[str, Tensor] | None], settings: ExportSettings) -> None:
    """Resize where that was asked for, drop what has no place where that is allowed, write, and say what was done."""
    from lapel.adapters.export import write_adapter
    from lapel.base.base import DTYPES

    adapter, weights = found
    layers = smaller(adapter.layers, weights, settings)
    layers = held(layers, settings.to, settings)  # type: ignore[arg-type]  # main has sorted bases out
    adapter = dataclasses.replace(adapter, layers=layers)
    for path in write_adapter(adapter, settings.to, settings.output, DTYPES[settings.precision], weights):  # type: ignore[arg-type]
        print(f"{path}: {len(layers)} layers, {settings.to}, {settings.precision}")


def smaller(layers: Layers, weights: Mapping[str, Tensor] | None, settings: ExportSettings) -> Layers:
    """The nearest LoRA of the size asked for, with its error printed; the layers as they are, where none was."""
    from lapel.adapters.combine import Size, resized

    if settings.rank is None and settings.energy is None:
        return layers
    layers, loss = resized(layers, Size(settings.rank, settings.energy), weights)
    low, high = loss.ranks
    ranks = f"rank {low}" if low == high else f"ranks {low} to {high}"
    print(f"{ranks}: {loss.whole:.3%} of the change lost, {loss.worst:.3%} of {loss.worst_layer}'s at worst")
    return layers


def held(layers: Layers, layout: Layout, settings: ExportSettings) -> Layers:
    """The layers that the layout has a place for; the others are dropped where that is allowed."""
    from lapel.adapters.diffusers_layout import diffusers_holds

    if layout == "kohya" or not settings.allow_loss:
        return layers  # the writer names what does not fit
    kept = {name: layer for name, layer in layers.items() if diffusers_holds(layer)}
    drop([name for name in layers if name not in kept], f"no place in {layout}'s layout", settings)
    if not kept:
        raise UserError(f"{settings.file[0]}: no layer has a place in {layout}'s layout; make a LoRA of it with --rank")
    return kept


if __name__ == "__main__":
    run_program(main)

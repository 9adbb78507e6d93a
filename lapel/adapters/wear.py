"""Wear adapters: bring their files into a diffusers pipeline, several at once, each with its weight."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lapel.adapters.diffusers_layout import diffusers_holds
from lapel.adapters.kinds import PARTS
from lapel.adapters.layers import has_one_alpha, is_low_rank
from lapel.adapters.merge import merge
from lapel.adapters.names import Names, layer_modules, names_of, skipped_layers
from lapel.adapters.read import Adapter, read_adapter
from lapel.base.families import family_of
from lapel.errors import UserError


def wear(pipeline: Any, adapters: Sequence[tuple[Path, float]]) -> bool:
    """Load adapters of any layout and kind into a pipeline, and switch them all on.

    What diffusers reads exactly becomes layers of peft; everything else (whole changes, LoHa, LoKr, Tucker's form,
    DoRA in front ends' form) is added to the weights themselves.

    Args:
        pipeline: a stock Stable Diffusion pipeline of any family.
        adapters: files and weights; 1 wears the adapter as it was trained, 0 not at all. Of a DoRA in diffusers'
            layout, peft weighs the direction only, never the magnitudes; its file in kohya's layout is weighed whole.

    Returns:
        whether all of it can be taken off again, because nothing was added to the weights themselves.

    Raises:
        UserError: a file that is missing, damaged, no adapter, or made for another base.
    """
    family = family_of(dict(pipeline.unet.config))
    assert family is not None, "pipelines are made from bases of a known family"
    names = names_of(family, parts_of(pipeline))
    skipped = set(skipped_layers(parts_of(pipeline)))
    read = [(_read(pipeline, path, names), weight) for path, weight in adapters]
    by_peft = [is_for_peft(adapter) and not skipped & adapter.layers.keys() for adapter, _ in read]
    # What goes into the weights comes first: peft's layers stand upon them.
    for (adapter, weight), is_later in zip(read, by_peft, strict=True):
        if not is_later:
            layers = {name: layer for name, layer in adapter.layers.items() if name not in skipped}
            _merge(pipeline, dataclasses.replace(adapter, layers=layers), weight)
    learned = [(adapter.path, weight) for (adapter, weight), is_later in zip(read, by_peft, strict=True) if is_later]
    peft_names = [adapter_name(number, path) for number, (path, _) in enumerate(learned)]
    for (path, _), name in zip(learned, peft_names, strict=True):
        load_layers(pipeline, path, name)
    if peft_names:
        pipeline.set_adapters(peft_names, [weight for _, weight in learned])
    return all(by_peft)


def _read(pipeline: Any, path: Path, names: Names) -> Adapter:
    try:
        return read_adapter(path, names)
    except UserError as error:
        if "fit no layer" in str(error):
            raise _misfit(pipeline, path, str(error).split(": ", 1)[-1]) from None
        raise


def is_for_peft(adapter: Adapter) -> bool:
    """Whether diffusers' loader reads the file for what it is: a LoRA, or a DoRA in its own layout."""
    if adapter.layout != "kohya":
        of_today = all(re.search(r"\.lora_(A|B|magnitude_vector)\b", key) for key in adapter.spelling.values())
        held = all(diffusers_holds(layer) for layer in adapter.layers.values())
        return adapter.layout == "diffusers" and of_today and held
    plain = all(is_low_rank(layer) and "dora_scale" not in layer for layer in adapter.layers.values())
    return plain and has_one_alpha(adapter.layers)


def _merge(pipeline: Any, adapter: Adapter, weight: float) -> None:
    try:
        merge(adapter, layer_modules(parts_of(pipeline)), weight)
    except UserError as error:
        raise _misfit(pipeline, adapter.path, str(error).split(": ", 1)[-1]) from None


def adapter_name(number: int, path: Path) -> str:
    """peft's name for a file's layers: no dots, and too long to be found inside a parameter's name."""
    return f"lapel_{number}_" + re.sub(r"\W", "_", path.stem)


def parts_of(pipeline: Any) -> dict[str, Any]:
    """The models of a pipeline that an adapter can change."""
    return {name: getattr(pipeline, name) for name in PARTS if getattr(pipeline, name, None) is not None}


def load_layers(pipeline: Any, path: Path, name: str) -> None:
    """Load a file's LoRA or DoRA layers under peft's name `name` with diffusers' own loader.

    Raises:
        UserError: the layers fit another base.
    """
    try:
        with _without_chatter():
            pipeline.load_lora_weights(path.parent, weight_name=path.name, adapter_name=name)
    except (RuntimeError, ValueError, KeyError, IndexError) as error:
        raise _misfit(pipeline, path, str(error)) from None
    if not any(name in adapters for adapters in pipeline.get_list_adapters().values()):
        raise _misfit(pipeline, path, "no layer was taken over")


def _misfit(pipeline: Any, path: Path, reason: str) -> UserError:
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    mismatch = next((line for line in lines if "size mismatch" in line), lines[0] if lines else "unknown layers")
    return UserError(f"{path}: made for another base than this {type(pipeline).__name__} ({mismatch})")


@contextmanager
def _without_chatter() -> Iterator[None]:
    """diffusers warns of every part of the pipeline that an adapter does not change; that is no fault."""
    logger = logging.getLogger("diffusers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)

"""Wear adapters: load their files into a diffusers pipeline, several at once, each with its weight."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lapel.adapters.merge import merge, weights_by_stem
from lapel.base.families import family_of
from lapel.base.weights import read_header
from lapel.errors import UserError


def wear(pipeline: Any, adapters: Sequence[tuple[Path, float]]) -> None:
    """Load adapters in kohya's or diffusers' layout, our own whole differences among them, and switch them all on.

    Args:
        pipeline: a stock Stable Diffusion pipeline of any family.
        adapters: files and weights; 1 wears the adapter as it was trained, 0 not at all. Of a DoRA in diffusers'
            layout, peft weighs the direction only, never the magnitudes; its file in kohya's layout is weighed whole.

    Raises:
        UserError: a file that is missing, damaged, no adapter, or made for another base.
    """
    # Differences go into the weights themselves, so they come first: peft's layers stand upon them.
    headers = {path: _header(path) for path, _ in adapters}
    for path, weight in adapters:
        if _has(headers[path], ".diff"):
            _merge_file(pipeline, path, weight)
    learned = [(path, weight) for path, weight in adapters if not _has(headers[path], ".diff")]
    names = [adapter_name(number, path) for number, (path, _) in enumerate(learned)]
    for (path, _), name in zip(learned, names, strict=True):
        load_layers(pipeline, path, name)
    if names:
        pipeline.set_adapters(names, [weight for _, weight in learned])


def adapter_name(number: int, path: Path) -> str:
    """peft's name for a file's layers: no dots, and too long to be found inside a parameter's name."""
    return f"lapel_{number}_" + re.sub(r"\W", "_", path.stem)


def _header(path: Path) -> dict[str, object]:
    if not path.is_file():
        raise UserError(f"{path}: no such adapter; give a .safetensors file")
    header = read_header(path)
    if not any(_has(header, ending) for ending in ("lora_down.weight", "lora_A.weight", ".diff")):
        raise UserError(f"{path}: not an adapter that lapel can wear (no LoRA layers in kohya's or diffusers' layout)")
    if _has(header, ".dora_scale"):
        raise UserError(f"{path}: a DoRA in kohya's layout, which diffusers reads wrongly; give its diffusers file")
    return header


def _has(header: dict[str, object], ending: str) -> bool:
    return any(key.endswith(ending) for key in header)


def _merge_file(pipeline: Any, path: Path, weight: float) -> None:
    from safetensors.torch import load_file

    family = family_of(dict(pipeline.unet.config))
    assert family is not None, "pipelines are made from bases of a known family"
    try:
        merge(load_file(path), weights_by_stem(family, parts_of(pipeline)), weight)
    except UserError as error:
        raise _misfit(pipeline, path, str(error)) from None


def parts_of(pipeline: Any) -> dict[str, Any]:
    """The models of a pipeline that an adapter can change."""
    parts = ("unet", "text_encoder", "text_encoder_2")
    return {name: getattr(pipeline, name) for name in parts if getattr(pipeline, name, None) is not None}


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

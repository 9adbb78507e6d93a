"""What an image tells of the request that it was drawn for: WebUI's keys where it has such, and our flags by name."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.generation.images import Provenance, WornAdapter
from lapel.generation.maps import source_of
from lapel.generation.outfit import Outfit
from lapel.generation.parsed import PARSED
from lapel.generation.request import Request
from lapel.photos.people.pose import NAMED

if TYPE_CHECKING:
    from lapel.base.base import Base

MASKED_CONTENT = {"fill": "fill", "noise": "latent noise", "nothing": "latent nothing", "sketch": "original"}
"""Of ours, WebUI's names; a sketch is the original of a picture that somebody has painted on."""

_ELSEWHERE = ("like", "output_dir", "base", "clip_skip")
"""What WebUI's own keys tell, or what is no matter of the image."""


def provenance_of(request: Request, outfit: Outfit, base: Base) -> Provenance:
    """What an image of the request is drawn with, as its settings tell it."""
    trios = zip(outfit.settings.adapter, outfit.weights, outfit.cards, strict=False)  # an encoder's card comes last
    worn = [WornAdapter(card.get("name", path.stem), weight, card.get("hash", "")) for path, weight, card in trios]
    webui = {"VAE": Path(base.vae_name).name} if base.vae_name else {}
    if request.try_on:
        webui |= _inpainting(request)
    webui |= _controls(request)
    return Provenance(base.name, base.hash, tuple(worn), base.clip_skip, webui | flags_of(request, outfit))


def _inpainting(request: Request) -> dict[str, str]:
    """As WebUI's inpainting tells it."""
    how = request.inpaint
    told = {"Denoising strength": f"{how.denoising:g}"}
    if how.mask_feather:
        told["Mask blur"] = str(how.mask_feather)
    if how.only_masked:
        told["Inpaint area"] = "Only masked"
        if how.padding is not None:
            told["Masked area padding"] = str(how.padding)
    if how.masked_content in MASKED_CONTENT:
        told["Masked content"] = MASKED_CONTENT[how.masked_content]
    return told


def _controls(request: Request) -> dict[str, str]:
    """As WebUI's ControlNet extension tells its units, the person's pose last."""
    control = request.control
    spans = (control.control_weight, control.control_start, control.control_end)
    units = list(zip(control.controlnet, control.control, *spans, strict=True))
    if request.pose_control and request.posed:
        units.append((request.pose_control, request.posed, 1.0, 0.0, 1.0))
    mode = "ControlNet is more important" if control.guess_mode else "Balanced"
    return {
        f"ControlNet {number}": f"Module: {_module(shown)}, Model: {Path(name).stem}, Weight: {weight:g}, "
        f"Resize Mode: Crop and Resize, Guidance Start: {start:g}, Guidance End: {end:g}, Control Mode: {mode}"
        for number, (name, shown, weight, start, end) in enumerate(units)
    }


def _module(shown: Path) -> str:
    """What makes the map, by WebUI's name where it has one."""
    kind, _ = source_of(shown)
    name = str(shown)
    if name.startswith(PARSED):
        return PARSED.removesuffix(":")
    if name.startswith(NAMED) or name.lower().endswith(".json"):
        return "openpose"
    return {"": "none", "depth": "depth_anything_v2", "normal": "normal_bae", "seg": "seg_ofade20k"}.get(kind, kind)


def flags_of(request: Request, outfit: Outfit) -> dict[str, str]:
    """The settings that are not the usual ones, by their flags' names, each as a text that `like` reads back."""
    base = outfit.base
    parts: list[Any] = [replace(request.wear, weight=list(outfit.weights)), request.control, request.region]
    if request.try_on:
        parts = [request.try_on, *parts, request.inpaint, request.retouch]
    if request.dress:
        parts = [request.dress, *parts]
    told = {name: _text(value) for part in parts for name, value in _unusual(part) if name not in _ELSEWHERE}
    if request.pose:
        told["pose"] = _text(request.pose)
    if request.wear.clip_skip and base.clip_skip == 1:
        told["clip_skip"] = "1"  # which WebUI leaves out, while a card may say otherwise
    if request.wear.encoder:
        told["encoder_weight"] = _text(request.wear.encoder_weight)
    return told


def _unusual(settings: Any) -> Iterator[tuple[str, Any]]:
    """The fields that differ from their defaults."""
    for field in dataclasses.fields(settings):
        value, make = getattr(settings, field.name), field.default_factory
        usual = field.default if make is dataclasses.MISSING else make()
        if value is not None and value != usual:
            yield field.name, value


def _text(value: Any) -> str:
    """A value as the command line takes it; several as a list of JSON."""
    if isinstance(value, list | tuple):
        texts = [_text(item) for item in value]
        return texts[0] if len(texts) == 1 and not texts[0].startswith("[") else json.dumps(texts, ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    return value.as_posix() if isinstance(value, Path) else str(value)

"""What each front end makes of an adapter file, by the rules of its own loader; nothing of theirs is run here.

Rules of ComfyUI 0.3.75, AUTOMATIC1111's WebUI 1.10.1, Forge, InvokeAI 6.14 and diffusers 0.42. Most of them leave
keys out without a word: silence is no success, which is why layers are counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lapel.adapters.diffusers_layout import diffusers_holds
from lapel.adapters.kinds import stated_family
from lapel.adapters.layers import has_one_alpha, is_by_row
from lapel.adapters.names import UNET_PREFIX
from lapel.adapters.read import Adapter

_QKV_OUT = ("q_proj", "k_proj", "v_proj", "out_proj")
_OPEN_CLIP = {"sd2": "text_encoder.", "sdxl": "text_encoder_2."}
"""By family, the text encoder that WebUI runs as OpenCLIP, whose q, k and v are one matrix."""


@dataclass(frozen=True)
class Verdict:
    """One front end's reading of one file."""

    client: str
    layers: int
    """How many of the file's layers take effect."""
    faults: tuple[str, ...]
    """Why the others do not, or do something else than was learned; none where all is well."""


def judge(adapter: Adapter) -> list[Verdict]:
    """The verdicts of all front ends, in a fixed order."""
    return [_verdict(client, rules, adapter) for client, rules in _RULES.items()]


def meant_for(adapter: Adapter) -> tuple[str, ...]:
    """The front ends that the file's layout is written for."""
    return tuple(_RULES) if adapter.layout == "kohya" else ("diffusers",)


Lost = tuple[set[str], str]
"""Layers that have no effect or a wrong one, and why."""

Rule = Callable[[Adapter], Lost]


def _verdict(client: str, rules: tuple[Rule, ...], adapter: Adapter) -> Verdict:
    found = [lost for rule in rules if (lost := rule(adapter))[0]]
    without = {layer for layers, _ in found for layer in layers}
    faults = tuple(f"{len(layers)} layers: {reason}" for layers, reason in found)
    return Verdict(client, len(adapter.layers) - len(without), faults)


def _only_kohya(adapter: Adapter) -> Lost:
    return (set() if adapter.layout == "kohya" else set(adapter.layers), "not in kohya's layout")


def _comfy_layout(adapter: Adapter) -> Lost:
    if adapter.layout == "kohya":
        return set(), ""
    # ComfyUI knows a UNet's attention in this layout by the name of its processor only.
    unread = {name for name in adapter.layers if re.match(r"unet\..*\.attn[12]\.", name)}
    return (set(adapter.layers) if adapter.layout == "peft" else unread), "not under the names that it knows"


def _rows(adapter: Adapter) -> Lost:
    rows = {name for name, layer in adapter.layers.items() if is_by_row(layer)}
    return rows, "DoRA by rows, which it computes wrongly and without a word"


def _hidden(adapter: Adapter) -> Lost:
    if adapter.layout != "kohya" or stated_family(adapter.metadata) == adapter.names.family.name:
        return set(), ""
    told = bool(adapter.metadata)
    # Without metadata the file is shown for every base; with some, an unnamed base is taken for SD 1.
    if not told or (adapter.names.family.name == "sd15" and stated_family(adapter.metadata) is None):
        return set(), ""
    return set(adapter.layers), "its metadata names another family, so that the file is hidden"


def _webui_names(adapter: Adapter) -> Lost:
    family = adapter.names.family
    if not family.sgm_names:
        return set(), ""
    odd = {layer for layer, stem in adapter.spelling.items() if re.search(r"up_blocks_\d_upsamplers", stem)}
    return odd, "under a name of diffusers that it does not map"


def _webui_text(adapter: Adapter) -> Lost:
    prefix = _OPEN_CLIP.get(adapter.names.family.name)
    if prefix is None:
        return set(), ""
    layers = {name for name in adapter.layers if name.startswith(prefix) and ".self_attn." in name}
    blocks = {name.rsplit(".", 1)[0] for name in layers}
    half = {block for block in blocks if any(f"{block}.{part}" not in layers for part in _QKV_OUT)}
    return {name for name in layers if name.rsplit(".", 1)[0] in half}, "q, k, v and out are not all four there"


def _text_names(adapter: Adapter) -> Lost:
    odd = {
        layer
        for layer, stem in adapter.spelling.items()
        if not layer.startswith("unet.") and "text_model_" not in stem and "text_projection" not in stem
    }
    return (odd if adapter.layout == "kohya" else set()), "text encoder names without text_model_"


def _invoke_names(adapter: Adapter) -> Lost:
    if adapter.layout != "kohya":
        return set(), ""
    sgm = {stem for stem in adapter.spelling.values() if re.match(rf"{UNET_PREFIX}(input|middle|output)_", stem)}
    unet = {stem for layer, stem in adapter.spelling.items() if layer.startswith("unet.")}
    if sgm and sgm != unet:
        return set(adapter.layers), "two spellings of the UNet in one file, which it refuses"
    one = adapter.names.family.text_encoders == 1
    odd = {layer for layer, stem in adapter.spelling.items() if one and stem.startswith("lora_te1_")}
    return odd, "lora_te1_ on a base with one text encoder"


def _invoke_family(adapter: Adapter) -> Lost:
    tell = any("attn2.to_k" in name or "attn2.to_v" in name or "self_attn" in name for name in adapter.layers)
    known = tell or adapter.layout != "kohya"
    return (set() if known else set(adapter.layers)), "no layer by whose shape it could tell the family"


def _diffusers_kinds(adapter: Adapter) -> Lost:
    unheld = {
        name
        for name, layer in adapter.layers.items()
        if not diffusers_holds(layer) or (adapter.layout == "kohya" and "dora_scale" in layer)
    }
    return unheld, "of a kind that it does not read"


def _diffusers_alphas(adapter: Adapter) -> Lost:
    same = adapter.layout != "kohya" or has_one_alpha(adapter.layers)
    return (set() if same else set(adapter.layers)), "alphas differ, and it takes the commonest for all"


_RULES: dict[str, tuple[Rule, ...]] = {
    "WebUI": (_only_kohya, _hidden, _rows, _webui_names, _webui_text, _text_names),
    "Forge": (_only_kohya, _hidden, _rows, _text_names),
    "ComfyUI": (_comfy_layout, _rows, _text_names),
    "InvokeAI": (_only_kohya, _rows, _invoke_names, _invoke_family, _text_names),
    "diffusers": (_diffusers_kinds, _diffusers_alphas),
}

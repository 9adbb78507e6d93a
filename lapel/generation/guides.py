"""ControlNets (Zhang et al., 2023) and T2I-Adapters (Mou et al., 2023), loaded by hub id, folder or file."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.base.find import TINY_FOLDER, place_of
from lapel.base.single_file import SUFFIXES
from lapel.base.weights import open_weights
from lapel.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from lapel.base.base import Base

TINY_CONTROL = TINY_FOLDER / "control"

_INPUTS = {stride**2 * channels: (channels, stride) for channels in (1, 3) for stride in (4, 8, 16)}
"""Numbers that an adapter's first layer takes, to the channels of its map and the pixels that are one cell to it."""


def load_controlnet(name: str, base: Base) -> Any:
    """What `--controlnet` names: diffusers' ControlNetModel or T2IAdapter, in the base's precision and place.

    Raises:
        UserError: it cannot be loaded, or is of another family.
    """
    place = TINY_CONTROL if name == "tiny" else place_of(name, "--controlnet")
    try:
        network = _load(place, base)
    except UserError:
        raise
    except Exception as error:  # of the hub's client, safetensors and diffusers alike
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{name}: cannot be loaded as a ControlNet or T2I-Adapter ({reason}); check the name or the file"
        ) from None
    from diffusers import T2IAdapter

    network = network.requires_grad_(False).eval().to(base.device)
    kind, fits = ("T2I-Adapter", _adapts) if isinstance(network, T2IAdapter) else ("ControlNet", _controls)
    if not fits(network, base):
        raise _other_family(name, kind, base)
    return network


def _other_family(name: str, kind: str, base: Base) -> UserError:
    return UserError(f"{name}: a {kind} of another family than {base.name} ({base.family.title}); take one of it")


def _load(place: Path | str, base: Base) -> Any:
    from diffusers import ControlNetModel, T2IAdapter

    kinds: dict[str, Any] = {kind.__name__: kind for kind in (ControlNetModel, T2IAdapter)}
    if isinstance(place, Path) and place.is_file():
        shapes = open_weights(place).shapes if place.suffix in SUFFIXES else {}
        if any(re.match(r"(adapter\.)?body\.0\.", name) for name in shapes):
            return _adapter_from(place).to(base.dtype)
        return _control_from(place, shapes, base)
    named = ControlNetModel.load_config(str(place)).get("_class_name")
    if named not in kinds:
        raise ValueError(f"it is a {named}")
    return kinds[named].from_pretrained(str(place), torch_dtype=base.dtype)


def _control_from(path: Path, shapes: Mapping[str, tuple[int, ...]], base: Base) -> Any:
    """A ControlNet from a single file, built as the base's UNet is, so that nothing is asked of the hub.

    Raises:
        UserError: of another family.
        ValueError: no ControlNet.
    """
    import torch
    from diffusers import ControlNetModel

    widths = {shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")}
    if not widths or not any(re.search("input_hint_block|controlnet_cond_embedding", name) for name in shapes):
        raise ValueError("its tensors are no ControlNet's")
    if widths != {base.unet.config.cross_attention_dim}:
        raise _other_family(str(path), "ControlNet", base)
    with tempfile.TemporaryDirectory() as folder:
        with torch.device("meta"):
            how: dict[str, Any] = {"conditioning_embedding_out_channels": _map_widths(shapes)}
            build = ControlNetModel.from_unet(base.unet, **how, load_weights_from_unet=False)
        build.register_to_config(in_channels=4)  # an inpainting base's others are no business of it
        build.save_config(folder)
        return ControlNetModel.from_single_file(str(path), config=folder, torch_dtype=base.dtype)


def _map_widths(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Channels that the map goes through before the latents' size; those of all published ones unless names tell."""
    first, block = "controlnet_cond_embedding.conv_in.weight", "controlnet_cond_embedding.blocks.{}.weight"
    if first not in shapes:
        return (16, 32, 96, 256)
    halved = [shapes[block.format(number)][0] for number in range(1, len(shapes), 2) if block.format(number) in shapes]
    return (shapes[first][0], *halved)


def _controls(network: Any, base: Base) -> bool:
    """Whether a ControlNet has the base's text width and levels."""
    ours, theirs = base.unet.config, network.config
    widths = [(config.cross_attention_dim, list(config.block_out_channels)) for config in (ours, theirs)]
    return widths[0] == widths[1]


def _adapts(network: Any, base: Base) -> bool:
    """Whether what a T2I-Adapter adds has the channels and cells of the base's levels.

    Nobody has trained any for Stable Diffusion 2, whose levels are those of 1.x.
    """
    import torch

    if base.family.name == "sd2":
        return False
    side = 8 * network.downscale_factor
    empty = torch.zeros(1, network.config.in_channels, side, side, device=base.device, dtype=base.dtype)
    with torch.no_grad():
        found = [(level.shape[1], side // level.shape[2]) for level in network(empty)]
    wanted = _levels(base)
    return found[: len(wanted)] == wanted and all(level == wanted[-1] for level in found[len(wanted) :])


def _levels(base: Base) -> list[tuple[int, int]]:
    """Channels, and pixels per cell, where the UNet adds what a T2I-Adapter gives: before attention halves a level."""
    blocks, stride, found = list(base.unet.config.down_block_types), base.latent_stride, []
    for number, (block, channels) in enumerate(zip(blocks, base.unet.config.block_out_channels, strict=True)):
        halved = stride * (1 if number == len(blocks) - 1 else 2)
        found.append((channels, stride if "CrossAttn" in block else halved))
        stride = halved
    return found


def _adapter_from(path: Path) -> Any:
    """A T2I-Adapter from a single file, of diffusers' names or TencentARC's; its build is told by names and shapes.

    Raises:
        UserError, ValueError, RuntimeError, KeyError: another build.
    """
    from diffusers import T2IAdapter

    file = open_weights(path)
    tensors = _diffusers_names(file.read(file.shapes))
    light = "conv_in.weight" not in tensors
    first = tensors["body.0.in_conv.weight" if light else "conv_in.weight"]
    if first.shape[1] not in _INPUTS:
        raise ValueError(f"its first layer takes {first.shape[1]} numbers a cell")
    channels, stride = _INPUTS[first.shape[1]]
    blocks, resnets = (1 + max(_numbers(tensors, place)) for place in (r"body\.(\d+)", r"body\.0\.resnets\.(\d+)"))
    # The last two levels of a light one are alike, and are told once.
    last = "out_conv.weight" if light else "resnets.0.block1.weight"
    widths = [tensors[f"body.{number}.{last}"].shape[0] for number in range(blocks - light)]
    kind = "light_adapter" if light else "full_adapter_xl" if stride == 16 else "full_adapter"
    adapter: Any = T2IAdapter(channels, widths, resnets, stride, kind)
    adapter.adapter.load_state_dict(tensors)
    return adapter


def _numbers(tensors: dict[str, Tensor], pattern: str) -> set[int]:
    return {int(match.group(1)) for name in tensors if (match := re.match(pattern, name))}


def _diffusers_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """TencentARC's names as diffusers has them: two blocks in a row are one level, in a light adapter one is."""
    if any(name.startswith("adapter.") for name in tensors):
        return {name.removeprefix("adapter."): tensor for name, tensor in tensors.items()}

    def level(match: re.Match[str]) -> str:
        number, layer = int(match.group(1)), match.group(2)
        return (
            f"body.{number // 2}.{layer}" if layer == "in_conv" else f"body.{number // 2}.resnets.{number % 2}.{layer}"
        )

    if any(".body." in name for name in tensors):
        return {re.sub(r"(body\.\d+)\.body\.", r"\1.resnets.", name): tensor for name, tensor in tensors.items()}
    return {re.sub(r"body\.(\d+)\.(in_conv|block1|block2)", level, name): tensor for name, tensor in tensors.items()}

"""Load a base: by name, hub id, diffusers folder or single-file checkpoint."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor

from lapel.base.attention import RowsAttnProcessor
from lapel.base.base import DTYPES, Base
from lapel.base.configs import ZERO_TERMINAL_SNR
from lapel.base.embeddings import embed
from lapel.base.families import Family
from lapel.base.find import SHIPPED, base_place, folder_family, place_of
from lapel.base.parts import LEFT_OUT, Parts, Wanted, folder_parts, single_file_parts
from lapel.base.prompts import skip_layers
from lapel.base.settings import BaseSettings, Precision
from lapel.base.single_file import open_single_file
from lapel.base.stream import stream
from lapel.base.vae import guard
from lapel.base.weights import PICKLES, read_header
from lapel.errors import UserError

SHORT_SIDE = 32
"""Up to this many latents along a side, written-out attention beats the fused kernel on a CPU: by about a quarter of a
training step of `tiny` in bf16."""


def load_base(settings: BaseSettings, device: torch.device | str = "cpu") -> Base:
    """Load the base that the settings name, frozen, in evaluation mode, on `device`.

    A UNet that is to be quantised stays on the CPU for that, in its precision: `lapel.adapters.fuse` sees to it.

    Raises:
        UserError: it is missing, truncated, of an unknown family, or cannot be downloaded; in one line.
    """
    place = base_place(settings)
    hide_progress_bars()
    dtype = DTYPES[settings.precision or usual_precision(settings.base, torch.device(device))]
    folder = _download(place, settings) if isinstance(place, str) else place
    with _one_line(settings.base):
        if folder.is_dir():
            family = folder_family(folder, settings.base)
            parts = folder_parts(folder, _wanted(settings, family, dtype))
            weight_files = _unet_files(folder / "unet", settings.variant)
        else:
            file = open_single_file(folder)
            family = file.family
            parts = single_file_parts(file, _wanted(settings, family, dtype))
            weight_files = [folder]
        parts.sampler = stated(parts.sampler, settings)
        skip_as_settled(parts.text_encoders, family, settings)
    base = _assemble(parts, family, settings, weight_files, device, _licence(folder))
    embed(base, settings.embedding)
    return base


def reload_encoders(base: Base, settings: BaseSettings) -> None:
    """Read the VAE and the text encoders anew, as `load_base` did, after `Base.release_encoders` gave them up.

    The UNet, with whatever adapter it carries, stays as it is and is not read again.
    """
    source, wanted = base.weight_files[0], _wanted(settings, base.family, base.unet.dtype)
    with _one_line(settings.base):
        if source.parent.name == "unet":
            parts = folder_parts(source.parent.parent, wanted, unet=base.unet)
        else:
            parts = single_file_parts(open_single_file(source), wanted, unet=base.unet)
    skip_as_settled(parts.text_encoders, base.family, settings)
    base.vae, base.text_encoders, base.tokenizers = parts.vae, parts.text_encoders, parts.tokenizers
    _settle_encoders(base.vae, base.text_encoders, settings, base.device)
    _in_pieces(base.vae, settings)
    guard(base.vae)
    embed(base, settings.embedding)


def skip_as_settled(encoders: list[Any], family: Family, settings: BaseSettings) -> None:
    """Clip skip as the settings have it, where the family takes it.

    Raises:
        UserError: more layers than there are, or than the family lets front ends skip.
    """
    skip = settings.clip_skip
    most = encoders[0].config.num_hidden_layers if family.takes_clip_skip else 2
    if skip > most:
        raise UserError(f"{settings.base}: clip_skip is {skip}; a {family.title} base takes 1 to {most}")
    if skip > 1 and family.takes_clip_skip:
        skip_layers(encoders[0], skip)


def _wanted(settings: BaseSettings, family: Family, dtype: torch.dtype) -> Wanted:
    vae = None if settings.vae is None else place_of(settings.vae, "--vae")
    return Wanted(family, dtype, settings.variant, vae)


def stated(sampler: Any, settings: BaseSettings) -> Any:
    """The base's sampler, with what the settings say of its predictions and its schedule's end."""
    from diffusers import DPMSolverMultistepScheduler

    changes: dict[str, Any] = {}
    if settings.prediction_type not in (None, sampler.config.prediction_type):
        changes["prediction_type"] = settings.prediction_type
    kind = type(sampler)
    if settings.zero_terminal_snr not in (None, bool(sampler.config.get("rescale_betas_zero_snr", False))):
        if settings.zero_terminal_snr:
            # Not every scheduler knows of it; this one is the usual of single files.
            kind, changes = DPMSolverMultistepScheduler, changes | ZERO_TERMINAL_SNR
        else:
            changes["rescale_betas_zero_snr"] = False
    return kind.from_config(sampler.config, **changes) if changes else sampler


def usual_precision(base: str, device: torch.device) -> Precision:
    """bf16; but a processor without bf16 products computes `tiny`, whose memory does not matter, sooner in fp32."""
    slow = device.type == "cpu" and not (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # torch has no public question
    )
    return "fp32" if base in SHIPPED and slow else "bf16"


def _assemble(
    parts: Parts, family: Family, settings: BaseSettings, weight_files: list[Path], device: Any, licence: str | None
) -> Base:
    # What is quantised moves to its device layer by layer, once the weights are final.
    whole = settings.frozen_weights == "full" and not settings.stream_weights
    _settle([parts.unet], settings, device if whole else "cpu")
    if settings.stream_weights:
        stream(parts.unet, device)
    _settle_encoders(parts.vae, parts.text_encoders, settings, device)
    compute_as_settled(parts.unet, parts.vae, settings, torch.device(device))
    guard(parts.vae)
    return Base(
        name=settings.base,
        family=family,
        unet=parts.unet,
        vae=parts.vae,
        text_encoders=parts.text_encoders,
        tokenizers=parts.tokenizers,
        sampler=parts.sampler,
        weight_files=weight_files,
        licence=licence,
        vae_name=settings.vae,
        clip_skip=settings.clip_skip,
    )


def compute_as_settled(unet: Any, vae: Any, settings: BaseSettings, device: torch.device) -> None:
    """How the models go about it on that device: attention, checkpointing, and pictures in pieces.

    Raises:
        UserError: blocks to checkpoint that the UNet has not.
    """
    if device.type == "cpu":
        unet.set_attn_processor(AttnProcessor() if unet.config.sample_size <= SHORT_SIDE else RowsAttnProcessor())
    save_as_settled(unet, vae, settings)


def lay_out_to_learn(unet: Any) -> None:
    """Channels last in memory, where convolutions and their gradients take less time so: in a processor's UNet of the
    published sizes, by 4 % of a step; `tiny`'s takes a fifth more. Where it was not measured, nothing changes."""
    if unet.device.type == "cpu" and unet.config.sample_size > SHORT_SIDE:
        unet.to(memory_format=torch.channels_last)


def save_as_settled(unet: Any, vae: Any, settings: BaseSettings) -> None:
    """What is computed again, or in pieces, to save memory; see `compute_as_settled`."""
    if settings.gradient_checkpointing:
        _checkpoint(unet, settings.checkpoint_blocks)
    _in_pieces(vae, settings)


def _checkpoint(unet: Any, blocks: Sequence[str]) -> None:
    known = ["unet", *checkpoint_blocks(unet)]
    if unknown := [block for block in blocks if block not in known]:
        raise UserError(f"checkpoint_blocks: this base has no {unknown[0]}; its blocks are {' '.join(known)}")
    unet.enable_gradient_checkpointing()
    for name, module in unet.named_modules():
        block = ".".join(name.split(".")[: 1 if name.startswith("mid_block") else 2])
        if hasattr(module, "gradient_checkpointing"):
            module.gradient_checkpointing = "unet" in blocks or block in blocks


def checkpoint_blocks(unet: Any) -> list[str]:
    """The UNet's blocks as `checkpoint_blocks` names them, in the order in which they compute."""
    downs, ups = (
        [f"{side}_blocks.{n}" for n in range(len(getattr(unet, f"{side}_blocks")))] for side in ("down", "up")
    )
    return [*downs, "mid_block", *ups]


def _in_pieces(vae: Any, settings: BaseSettings) -> None:
    vae.use_slicing = settings.vae_slicing
    if settings.vae_tile is not None:
        vae.enable_tiling()
        vae.tile_sample_min_size = settings.vae_tile
        vae.tile_latent_min_size = settings.vae_tile // 2 ** (len(vae.config.block_out_channels) - 1)


def _settle_encoders(vae: Any, text_encoders: list[Any], settings: BaseSettings, device: Any) -> None:
    _settle([vae], settings, device)
    _settle(text_encoders, settings, "cpu" if settings.offload_text else device)


def _settle(models: list[Any], settings: BaseSettings, device: Any) -> None:
    """Freeze models and bring them to their device, once nothing of them is found to be missing."""
    for model in models:
        if any(parameter.is_meta for parameter in model.parameters()):
            raise UserError(f"{settings.base}: incomplete, weights of {type(model).__name__} are missing")
        model.requires_grad_(False).eval().to(device)


def _download(hub_id: str, settings: BaseSettings) -> Path:
    from diffusers import DiffusionPipeline

    try:
        return Path(
            DiffusionPipeline.download(
                hub_id, revision=settings.revision, variant=settings.variant, use_safetensors=True, **LEFT_OUT
            )
        )
    except (OSError, ValueError, RuntimeError) as error:
        # huggingface_hub's own errors are OSErrors or ValueErrors; so are those of the connection.
        raise UserError(
            f"{hub_id}: no such folder here, and the Hub does not give it ({_first_line(error)}); check the name, "
            "the connection, and `hf auth login` for a model that asks for a licence"
        ) from None


def hide_progress_bars() -> None:
    """Have diffusers and transformers read and write files without bars of their own."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """Turn what libraries raise over missing and damaged files into one line."""
    from safetensors import SafetensorError

    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{name}: cannot be loaded as a base ({_first_line(error)}); download it again") from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".") if lines else type(error).__name__


def _unet_files(folder: Path, variant: str | None) -> list[Path]:
    """The weight files that diffusers reads from a `unet` folder: one, or a set of shards."""
    name = "diffusion_pytorch_model" + (f".{variant}" if variant else "")
    single = folder / f"{name}.safetensors"
    return [single] if single.is_file() else sorted(folder.glob("diffusion_pytorch_model*-of-*.safetensors"))


def _licence(place: Path) -> str | None:
    """The licence in the front matter of a base's README.md or in a single file's metadata."""
    if place.is_file():
        if place.suffix in PICKLES:
            return None
        return read_header(place).get("__metadata__", {}).get("modelspec.license")
    readme = place / "README.md"
    if not readme.is_file():
        return None
    found = re.search(r"^license:\s*(.+)$", readme.read_text(encoding="utf-8"), re.MULTILINE)
    return found.group(1).strip() if found else None

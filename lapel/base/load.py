"""Load a base: by name, hub id, diffusers folder or single-file checkpoint."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor

from lapel.base.base import DTYPES, Base, let_any_precision_in
from lapel.base.configs import write_configs
from lapel.base.families import Family
from lapel.base.find import TINY_FOLDER, folder_family, place_of, read_header, single_file_family
from lapel.base.settings import BaseSettings, Precision
from lapel.errors import UserError

SHORT_SIDE = 32
"""Up to this many latents along a side, written-out attention beats the fused kernel on a CPU: by about a quarter of a
training step of `tiny` in bf16."""

# Parts of published folders that training and generating do without.
_LEFT_OUT = {"safety_checker": None, "feature_extractor": None, "image_encoder": None}


def load_base(settings: BaseSettings, device: torch.device | str = "cpu") -> Base:
    """Load the base that the settings name, frozen, in evaluation mode, on `device`.

    Raises:
        UserError: it is missing, truncated, of an unknown family, or cannot be downloaded; in one line.
    """
    place = place_of(settings)
    _hide_progress_bars()
    dtype = DTYPES[settings.precision or _usual_precision(settings.base, torch.device(device))]
    folder = _download(place, settings) if isinstance(place, str) else place
    with _one_line(settings.base):
        if folder.is_dir():
            family = folder_family(folder, settings.base)
            pipeline = _load_folder(folder, family, dtype, settings.variant)
            weight_files = _unet_files(folder / "unet", settings.variant)
        else:
            shape, family = single_file_family(folder)
            pipeline = _load_single_file(folder, shape, family, dtype)
            weight_files = [folder]
    return _assemble(pipeline, family, settings, weight_files, device, _licence(folder))


def reload_encoders(base: Base, settings: BaseSettings) -> None:
    """Read the VAE and the text encoders anew, as `load_base` did, after `Base.release_encoders` gave them up.

    The UNet, with whatever adapter it carries, stays as it is and is not read again.
    """
    dtype, source = base.unet.dtype, base.weight_files[0]
    with _one_line(settings.base):
        if source.parent.name == "unet":
            pipeline = _load_folder(source.parent.parent, base.family, dtype, settings.variant, unet=base.unet)
        else:
            shape, family = single_file_family(source)
            pipeline = _load_single_file(source, shape, family, dtype, unet=base.unet)
    base.vae, base.text_encoders = pipeline.vae, _text_encoders(pipeline, base.family)
    _settle([base.vae, *base.text_encoders], settings, base.device)
    if base.vae.dtype != dtype:
        let_any_precision_in(base.vae)


def _usual_precision(base: str, device: torch.device) -> Precision:
    """bf16; but a processor without bf16 products computes `tiny`, whose memory does not matter, sooner in fp32."""
    slow = device.type == "cpu" and not (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # torch has no public question
    )
    return "fp32" if base == "tiny" and slow else "bf16"


def _assemble(
    pipeline: Any, family: Family, settings: BaseSettings, weight_files: list[Path], device: Any, licence: str | None
) -> Base:
    encoders = _text_encoders(pipeline, family)
    tokenizers = [pipeline.tokenizer] + ([pipeline.tokenizer_2] if family.text_encoders == 2 else [])
    _settle([pipeline.unet, pipeline.vae, *encoders], settings, device)
    if pipeline.unet.device.type == "cpu" and pipeline.unet.config.sample_size <= SHORT_SIDE:
        pipeline.unet.set_attn_processor(AttnProcessor())
    if pipeline.vae.dtype != pipeline.unet.dtype:
        let_any_precision_in(pipeline.vae)
    if settings.gradient_checkpointing:
        pipeline.unet.enable_gradient_checkpointing()
    return Base(
        name=settings.base,
        family=family,
        unet=pipeline.unet,
        vae=pipeline.vae,
        text_encoders=encoders,
        tokenizers=tokenizers,
        sampler=pipeline.scheduler,
        weight_files=weight_files,
        licence=licence,
    )


def _text_encoders(pipeline: Any, family: Family) -> list[Any]:
    return [pipeline.text_encoder] + ([pipeline.text_encoder_2] if family.text_encoders == 2 else [])


def _settle(models: list[Any], settings: BaseSettings, device: Any) -> None:
    """Freeze models and bring them to their device, once nothing of them is found to be missing."""
    for model in models:
        if any(parameter.is_meta for parameter in model.parameters()):
            raise UserError(f"{settings.base}: incomplete, weights of {type(model).__name__} are missing")
        model.requires_grad_(False).eval().to(device)


def _pipeline_class(family: Family) -> Any:
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    return StableDiffusionXLPipeline if family.text_encoders == 2 else StableDiffusionPipeline


def _parts_left_out(family: Family) -> dict[str, Any]:
    """What the family's pipeline is told to do without."""
    if family.text_encoders == 2:
        return {name: None for name in _LEFT_OUT if name != "safety_checker"} | {"add_watermarker": False}
    return {**_LEFT_OUT, "requires_safety_checker": False}


def _load_folder(folder: Path, family: Family, dtype: torch.dtype, variant: str | None, **parts: Any) -> Any:
    return _pipeline_class(family).from_pretrained(
        folder,
        torch_dtype={"default": dtype, "vae": torch.float32 if family.fp32_vae else dtype},
        variant=variant,
        use_safetensors=True,
        local_files_only=True,
        **_parts_left_out(family),
        **parts,
    )


def _load_single_file(path: Path, shape: str, family: Family, dtype: torch.dtype, **parts: Any) -> Any:
    from diffusers import AutoencoderKL

    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch)
        if shape == "tiny":
            config = TINY_FOLDER
        else:
            write_configs(family.name, _predicted(path, family), config)
        vae = AutoencoderKL.from_single_file(
            str(path), config=str(config), subfolder="vae", torch_dtype=torch.float32 if family.fp32_vae else dtype
        )
        return _pipeline_class(family).from_single_file(
            str(path),
            config=str(config),
            torch_dtype=dtype,
            local_files_only=True,
            vae=vae,
            **_parts_left_out(family),
            **parts,
        )


def _predicted(path: Path, family: Family) -> str:
    """What a single file's UNet predicts: as its metadata says, otherwise by the signs that ComfyUI goes by."""
    from safetensors import safe_open

    header = read_header(path)
    stated = header.get("__metadata__", {}).get("modelspec.prediction_type")
    if stated in ("v", "epsilon"):
        return "v_prediction" if stated == "v" else "epsilon"
    predicts_v = family.name == "sdxl" and "v_pred" in header
    if family.name == "sd2":
        bias = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
        with safe_open(str(path), "pt") as file:
            predicts_v = file.get_tensor(bias).float().std().item() > 0.09
    return "v_prediction" if predicts_v else "epsilon"


def _download(hub_id: str, settings: BaseSettings) -> Path:
    from diffusers import DiffusionPipeline

    try:
        return Path(
            DiffusionPipeline.download(
                hub_id, revision=settings.revision, variant=settings.variant, use_safetensors=True, **_LEFT_OUT
            )
        )
    except (OSError, ValueError, RuntimeError) as error:
        # huggingface_hub's own errors are OSErrors or ValueErrors; so are those of the connection.
        raise UserError(
            f"{hub_id}: no such folder here, and the Hub does not give it ({_first_line(error)}); check the name, "
            "the connection, and `hf auth login` for a model that asks for a licence"
        ) from None


def _hide_progress_bars() -> None:
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
        return read_header(place).get("__metadata__", {}).get("modelspec.license")
    readme = place / "README.md"
    if not readme.is_file():
        return None
    found = re.search(r"^license:\s*(.+)$", readme.read_text(encoding="utf-8"), re.MULTILINE)
    return found.group(1).strip() if found else None

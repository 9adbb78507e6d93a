"""Read the parts of a base from a diffusers folder or a single file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights

from lapel.base.configs import write_configs
from lapel.base.families import INPAINTING_CHANNELS, Family
from lapel.base.fill import filled
from lapel.base.find import TINY_FOLDER, TINY_INPAINTING, part_folder
from lapel.base.single_file import UNET_ROOT, VAE_ROOT, SingleFile
from lapel.base.vae import load_vae, vae_of

# Parts of published folders that training and generating do without.
LEFT_OUT = {"safety_checker": None, "feature_extractor": None, "image_encoder": None}


@dataclass
class Parts:
    """What a base is made of, as diffusers and transformers have it."""

    unet: Any
    vae: Any
    text_encoders: list[Any]
    tokenizers: list[Any]
    sampler: Any


@dataclass(frozen=True)
class Wanted:
    """How the parts are read."""

    family: Family
    dtype: torch.dtype
    variant: str | None = None
    vae: Path | str | None = None
    """Where another VAE lies; the base's own unless given."""

    @property
    def vae_dtype(self) -> torch.dtype:
        """Of the base's own VAE."""
        return torch.float32 if self.family.fp32_vae else self.dtype


def folder_parts(folder: Path, wanted: Wanted, unet: Any = None) -> Parts:
    """The parts of a diffusers folder; `unet`, where it is given, is taken instead of reading one."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    given = {} if unet is None else {"unet": unet}
    if unet is None and folder == TINY_INPAINTING:
        given["unet"] = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=wanted.dtype)
    folder = part_folder(folder, "model_index.json").parent
    if wanted.vae is not None:
        config: Any = AutoencoderKL.load_config(folder, subfolder="vae")
        given["vae"] = load_vae(wanted.vae, wanted.family, config, wanted.dtype)
    pipeline = _pipeline_class(wanted.family).from_pretrained(
        folder,
        torch_dtype={"default": wanted.dtype, "vae": wanted.vae_dtype},
        variant=wanted.variant,
        use_safetensors=True,
        local_files_only=True,
        **_left_out(wanted.family),
        **given,
    )
    encoders, tokenizers = [pipeline.text_encoder], [pipeline.tokenizer]
    if wanted.family.text_encoders == 2:
        encoders.append(pipeline.text_encoder_2)
        tokenizers.append(pipeline.tokenizer_2)
    return Parts(pipeline.unet, pipeline.vae, encoders, tokenizers, pipeline.scheduler)


def _pipeline_class(family: Family) -> Any:
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    return StableDiffusionXLPipeline if family.text_encoders == 2 else StableDiffusionPipeline


def _left_out(family: Family) -> dict[str, Any]:
    """What the family's pipeline is told to do without."""
    if family.text_encoders == 2:
        return {name: None for name in LEFT_OUT if name != "safety_checker"} | {"add_watermarker": False}
    return {**LEFT_OUT, "requires_safety_checker": False}


def single_file_parts(file: SingleFile, wanted: Wanted, unet: Any = None) -> Parts:
    """The parts of a single file, read one after the other, so that no tensor is in memory twice for long.

    `unet`, where it is given, is taken instead of reading one.
    """
    import diffusers
    from transformers import CLIPTokenizer

    with _config_folder(file) as folder:
        unet = unet or _unet(file, folder, wanted)
        config: Any = diffusers.AutoencoderKL.load_config(folder, subfolder="vae")
        if wanted.vae is None:
            tensors = file.read(file.below(VAE_ROOT), wanted.vae_dtype)
            tensors = {name.removeprefix(VAE_ROOT): value for name, value in tensors.items()}
            vae = vae_of(tensors, config, file.weights.path)
        else:
            vae = load_vae(wanted.vae, wanted.family, config, wanted.dtype)
        encoders = [_text_encoder(file, number, folder, wanted) for number in range(wanted.family.text_encoders)]
        folders = [folder / f"tokenizer{_suffix(number)}" for number in range(wanted.family.text_encoders)]
        tokenizers = [CLIPTokenizer.from_pretrained(folder) for folder in folders]
        stated: Any = diffusers.DDPMScheduler.load_config(folder, subfolder="scheduler")
        sampler = getattr(diffusers, stated["_class_name"]).from_config(stated, prediction_type=file.prediction_type())
    return Parts(unet, vae, encoders, tokenizers, sampler)


def _suffix(number: int) -> str:
    return f"_{number + 1}" if number else ""


def _unet(file: SingleFile, folder: Path, wanted: Wanted) -> Any:
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    config: Any = UNet2DConditionModel.load_config(folder, subfolder="unet")
    config["in_channels"] = INPAINTING_CHANNELS if file.inpainting else 4
    tensors = convert_ldm_unet_checkpoint(file.read(file.below(UNET_ROOT), wanted.dtype), config)
    return filled(lambda: UNet2DConditionModel.from_config(config), tensors, file.weights.path)


def _text_encoder(file: SingleFile, number: int, folder: Path, wanted: Wanted) -> Any:
    from diffusers.loaders.single_file_utils import convert_ldm_clip_checkpoint, convert_open_clip_checkpoint
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig.from_pretrained(folder / f"text_encoder{_suffix(number)}")
    kind = CLIPTextModelWithProjection if number else CLIPTextModel
    with init_empty_weights():
        shape = kind(config)
    root = wanted.family.text_roots[number]
    tensors = file.read(file.below(root), wanted.dtype)
    if root.endswith(".model."):
        tensors = convert_open_clip_checkpoint(shape, tensors, root)
    else:
        tensors = convert_ldm_clip_checkpoint(tensors)
    if not any(name.startswith("text_model.") for name in shape.state_dict()):
        tensors = {name.removeprefix("text_model."): value for name, value in tensors.items()}
    return filled(lambda: kind(config), tensors, file.weights.path)


@contextmanager
def _config_folder(file: SingleFile) -> Iterator[Path]:
    """A folder of the configurations that a single file leaves out."""
    if file.shape == "tiny":
        yield TINY_FOLDER
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_configs(file.family.name, file.prediction_type(), folder, file.zero_terminal_snr)
        yield folder

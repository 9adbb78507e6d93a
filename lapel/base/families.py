"""The one table that says how the families of Stable Diffusion differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Family:
    """What the code must know of a family, beyond the configurations that come with each base."""

    name: str
    """`sd15`, `sd2` or `sdxl`."""
    title: str
    """As people say it."""
    text_encoders: int
    """How many text encoders a prompt goes through."""
    text_width: int
    """Numbers per token that the UNet attends to: what tells single files of the families apart."""
    text_roots: tuple[str, ...]
    """Where a single file keeps the text encoders: transformers' names below the first, OpenCLIP's below `model.`."""
    takes_clip_skip: bool
    """Whether WebUI's clip skip reaches the text encoders; where not, they always give their last layer but one."""
    fp32_vae: bool
    """Whether the VAE overflows in fp16 and loses colour in bf16, so that it stays in fp32."""
    sgm_names: bool
    """Whether front ends know the UNet by the names of the original code rather than by those of diffusers."""
    text_prefixes: tuple[str, ...]
    """kohya's prefixes of the text encoders' layers."""
    model_version: str
    """kohya's `ss_base_model_version`; of an SD 2 base that predicts v, `_v` is added."""
    architecture: str
    """`modelspec.architecture` without what the file holds; of an SD 2 base that predicts v, see `architecture_of`."""
    implementation: str
    """`modelspec.implementation`, as sd-scripts writes it."""
    sidecar: str
    """The `sd version` of the WebUI's sidecar files."""

    def architecture_of(self, prediction_type: str) -> str:
        """`modelspec.architecture` of a base of this family: SD 2 has one for either prediction type."""
        if self.name == "sd2" and prediction_type == "v_prediction":
            return "stable-diffusion-v2-768-v"
        return self.architecture


FAMILIES: dict[str, Family] = {
    "sd15": Family(
        name="sd15",
        title="Stable Diffusion 1.x",
        text_encoders=1,
        text_width=768,
        text_roots=("cond_stage_model.transformer.",),
        takes_clip_skip=True,
        fp32_vae=False,
        sgm_names=False,
        text_prefixes=("lora_te_",),
        model_version="sd_v1",
        architecture="stable-diffusion-v1",
        implementation="diffusers",
        sidecar="SD1",
    ),
    "sd2": Family(
        name="sd2",
        title="Stable Diffusion 2.x",
        text_encoders=1,
        text_width=1024,
        text_roots=("cond_stage_model.model.",),
        takes_clip_skip=False,
        fp32_vae=False,
        sgm_names=False,
        text_prefixes=("lora_te_",),
        model_version="sd_v2",
        architecture="stable-diffusion-v2-512",
        implementation="diffusers",
        sidecar="SD2",
    ),
    "sdxl": Family(
        name="sdxl",
        title="Stable Diffusion XL",
        text_encoders=2,
        text_width=2048,
        text_roots=("conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."),
        takes_clip_skip=False,
        fp32_vae=True,
        sgm_names=True,
        text_prefixes=("lora_te1_", "lora_te2_"),
        model_version="sdxl_base_v1-0",
        architecture="stable-diffusion-xl-v1-base",
        implementation="https://github.com/Stability-AI/generative-models",
        sidecar="SDXL",
    ),
}

TINY_TEXT_WIDTH = 192
"""`tiny`'s, which is of family sd15 otherwise."""

INPAINTING_CHANNELS = 9
"""What an inpainting UNet takes: noised latents (4), the mask (1), the latents of the picture around it (4)."""


def family_of(unet_config: dict[str, Any]) -> Family | None:
    """The family of a UNet by its diffusers configuration, or None for a model that lapel cannot adapt.

    Widths are not looked at, so that thinner models of the same build (`tiny`) are of the family whose layers they
    have. SDXL's refiner (one text encoder, an aesthetic score in its time ids) is turned away, and so are UNets that
    take more than latents, but for inpainting ones.
    """
    if unet_config.get("_class_name", "UNet2DConditionModel") != "UNet2DConditionModel":
        return None
    if unet_config.get("out_channels", 4) != 4 or unet_config.get("in_channels", 4) not in (4, INPAINTING_CHANNELS):
        return None
    if unet_config.get("addition_embed_type") == "text_time":
        # The refiner has four levels with attention in the middle two; the base has three.
        return FAMILIES["sdxl"] if len(unet_config["down_block_types"]) == 3 else None
    return FAMILIES["sd2" if unet_config.get("use_linear_projection") else "sd15"]

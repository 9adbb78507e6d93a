"""The shapes of the bases, and models of those shapes with random weights.

`tiny` is trained from its random model by `scripts/build_tiny.py`; `sd15` stands in, offline, for the published
checkpoints wherever only names, shapes and costs matter: memory, speed, file formats.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

Shape = Literal["tiny", "sd15"]

SD_BLOCKS: dict[str, Any] = {
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 2,
}

# Channels of `tiny` are multiples of 32: on a CPU, convolutions with others run up to ten times slower.
# `attention_head_dim` is, in diffusers' UNet, the number of heads.
UNETS: dict[str, dict[str, Any]] = {
    "tiny": {
        **SD_BLOCKS,
        "sample_size": 24,
        "block_out_channels": (64, 96, 128, 128),
        "attention_head_dim": (1, 2, 2, 2),
        "cross_attention_dim": 192,
    },
    "sd15": {
        **SD_BLOCKS,
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "attention_head_dim": 8,
        "cross_attention_dim": 768,
    },
}

VAES: dict[str, dict[str, Any]] = {
    "tiny": {"block_out_channels": (32, 64, 64), "layers_per_block": 1, "sample_size": 96, "norm_num_groups": 16},
    "sd15": {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "sample_size": 512},
}

TEXT_TOWERS: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 4, "num_attention_heads": 3},
    "sd15": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
}

IMAGE_TOWER: dict[str, Any] = {
    "hidden_size": 192,
    "intermediate_size": 768,
    "num_hidden_layers": 6,
    "num_attention_heads": 3,
    "image_size": 96,
    "patch_size": 12,
    "projection_dim": 192,
}
"""`tiny`'s own. The image towers of the published bases do not come with them."""

MERGES = {"tiny": 4000, "sd15": 48894}
"""How many of CLIP's byte-pair merges the tokenizer keeps; `tiny` spells rarer words in more pieces."""


def write_tokenizer(folder: Path, merges: int) -> None:
    """Write CLIP's tokenizer with its first `merges` merges (of 48,894) as `vocab.json` and `merges.txt`.

    The merges are those that open-clip-torch carries; the vocabulary is built from them as CLIP builds it: 256 bytes,
    256 bytes that end a word, the merges, and the two tokens for start and end.
    """
    import open_clip.tokenizer as source

    with gzip.open(source.default_bpe(), "rt", encoding="utf-8") as file:
        table = file.read().split("\n")[1 : merges + 1]
    letters = list(source.bytes_to_unicode().values())
    words = letters + [letter + "</w>" for letter in letters] + ["".join(pair.split()) for pair in table]
    words += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: number for number, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *table]) + "\n", encoding="utf-8")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "do_lower_case": True,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


def text_tower_config(shape: Shape) -> Any:
    """transformers' configuration of the text tower that belongs to `shape` and its tokenizer."""
    from transformers import CLIPTextConfig

    vocabulary = 512 + MERGES[shape] + 2
    return CLIPTextConfig(
        **TEXT_TOWERS[shape],
        vocab_size=vocabulary,
        max_position_embeddings=77,
        hidden_act="quick_gelu",
        projection_dim=TEXT_TOWERS[shape]["hidden_size"],
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )


def noise_schedule(shape: Shape) -> dict[str, Any]:
    """Stable Diffusion's noise schedule; `tiny` predicts v (Salimans and Ho, 2022): it trains sooner."""
    return {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "prediction_type": "v_prediction" if shape == "tiny" else "epsilon",
        "steps_offset": 1,
    }


def random_pipeline(shape: Shape, folder: Path, seed: int = 0, dtype: torch.dtype | None = None) -> Any:
    """A whole `StableDiffusionPipeline` with random weights in `dtype` (fp32 by default).

    Its tokenizer is written to `folder`.

    Args:
        shape: which base it has the shape of.
        folder: where the tokenizer's files go (`folder/tokenizer`), since transformers reads them from disk.
        seed: of the weights.
        dtype: of the weights; at SD1.5's shape bf16 takes 2 GB.
    """
    import torch
    from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    write_tokenizer(folder / "tokenizer", MERGES[shape])
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype or torch.float32)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            unet: Any = UNet2DConditionModel(**UNETS[shape])
            stages = len(VAES[shape]["block_out_channels"])
            vae: Any = AutoencoderKL(
                **VAES[shape],
                down_block_types=("DownEncoderBlock2D",) * stages,
                up_block_types=("UpDecoderBlock2D",) * stages,
                latent_channels=4,
            )
            text_encoder = CLIPTextModel(text_tower_config(shape))
    finally:
        torch.set_default_dtype(before)
    return StableDiffusionPipeline(
        vae=vae.eval(),
        text_encoder=text_encoder.eval(),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        unet=unet.eval(),
        scheduler=DPMSolverMultistepScheduler(**noise_schedule(shape)),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def random_base(shape: Shape, folder: Path, seed: int = 0, dtype: torch.dtype | None = None) -> None:
    """Write a base of that shape with random weights as a diffusers folder; `tiny` with its image tower."""
    pipeline = random_pipeline(shape, folder, seed, dtype)
    pipeline.save_pretrained(folder)
    if shape == "tiny":
        from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

        CLIPVisionModelWithProjection(CLIPVisionConfig(**IMAGE_TOWER)).save_pretrained(folder / "image_encoder")
        size = IMAGE_TOWER["image_size"]
        CLIPImageProcessor(size=size, crop_size=size).save_pretrained(folder / "feature_extractor")

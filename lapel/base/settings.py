"""What a user may say about the base."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Precision = Literal["fp32", "bf16", "fp16"]
FrozenWeights = Literal["full", "int8", "nf4"]


@dataclass
class BaseSettings:
    """The frozen Stable Diffusion model that is adapted."""

    base: str = "tiny"
    """`tiny` (shipped with lapel, for trying out), a Hugging Face hub id, a diffusers folder, or a single-file
    checkpoint (.safetensors or .ckpt) of Stable Diffusion 1.x, 2.x or XL."""
    revision: str | None = None
    """Branch, tag or commit of a hub id; its main branch unless given."""
    variant: str | None = None
    """Variant of the weight files of a hub id or folder, such as `fp16`; the plain files unless given."""
    vae: str | None = None
    """Another VAE than the base's: a file (.safetensors, .vae.pt), a diffusers folder or a hub id."""
    clip_skip: int = 1
    """Layers that the text encoder of a Stable Diffusion 1.x base ends before its last, counted as WebUI counts: 1 is
    none, 2 is what many anime models were trained with. 2.x and XL always end one before, whatever WebUI is set to, so
    that 1 and 2 mean the same there."""
    wear: list[str] = field(default_factory=list)
    """Adapters of any layout and kind that the base wears while it is trained on and samples are drawn, each `FILE` or
    `FILE=WEIGHT`: they are added to its weights. What is learned comes on top, and holds nothing of them."""
    embedding: list[Path] = field(default_factory=list)
    """Textual inversions (.safetensors, .pt or .bin of WebUI or diffusers) for captions and prompts; the word for one
    is its file's name, or, in diffusers' layout, the name inside."""
    prediction_type: Literal["epsilon", "v_prediction"] | None = None
    """What the UNet predicts; unless given, as the base's files say."""
    zero_terminal_snr: bool | None = None
    """Whether the noise schedule ends in pure noise (Lin et al., 2023); unless given, as the base's files say."""
    precision: Precision | None = None
    """Of the frozen weights. Unless given, bf16: half the memory of fp32 and the same range of values, which fp16 has
    not; for `tiny`, fp32 where the processor has no bf16 products."""
    gradient_checkpointing: bool = False
    """Compute the UNet's activations again in the backward pass: about a third slower, for much less memory."""
    checkpoint_blocks: list[str] = field(default_factory=lambda: ["unet"])
    """What gradient checkpointing covers: `unet` for all of it, or some of its blocks, such as `down_blocks.0 mid_block
    up_blocks.3`: those at the largest size hold most of the memory, and cost least to compute again."""
    frozen_weights: FrozenWeights = "full"
    """How the UNet's attention layers keep the weights that are not trained: `full`, in `precision`; `int8`
    (LLM.int8(), Dettmers et al., 2022) or `nf4` (QLoRA, Dettmers et al., 2023), which take a half and a quarter of
    bf16's memory, are slower, and a little off the base. The adapter itself is learned in fp32 all the same."""
    stream_weights: bool = False
    """Keep the frozen weights of the UNet's blocks in the processor's memory, and bring each layer's to the GPU for its
    computation alone: the least memory and the very same numbers, for two or three times the model's size over the bus
    in every step."""
    vae_slicing: bool = False
    """Decode samples one after the other where several are drawn at once: less memory, the same pictures."""
    vae_tile: int | None = None
    """Side in pixels of the overlapping tiles in which larger photos are encoded and larger samples decoded: less
    memory, and colours that may differ a little from tile to tile. Whole pictures unless given."""
    offload_text: bool = False
    """Keep the text encoders in the processor's memory and encode there: a few seconds a time that samples are drawn,
    and nothing of the GPU's memory."""

    def __post_init__(self) -> None:
        if self.clip_skip < 1:
            raise ValueError(f"clip_skip is {self.clip_skip}; it must be 1 or more")
        if self.vae_tile is not None and (self.vae_tile < 64 or self.vae_tile % 64):
            raise ValueError(f"vae_tile is {self.vae_tile}; give a multiple of 64 pixels, or null for whole pictures")
        if self.stream_weights and self.frozen_weights != "full":
            raise ValueError(f"stream_weights brings whole weights; leave out frozen_weights {self.frozen_weights}")
        if not self.checkpoint_blocks:
            raise ValueError("checkpoint_blocks is empty; name blocks, or leave out gradient_checkpointing")

    @property
    def worn(self) -> list[tuple[Path, float]]:
        """The adapters of `wear`, each with its weight: 1 unless given."""
        return [_weighed(text) for text in self.wear]


def _weighed(text: str) -> tuple[Path, float]:
    """FILE or FILE=WEIGHT; a file whose name ends like that is the file."""
    name, equals, weight = text.rpartition("=")
    try:
        return (Path(name), float(weight)) if equals and not Path(text).exists() else (Path(text), 1.0)
    except ValueError:
        return Path(text), 1.0

"""What the inference programs ask alike: which adapters are worn on which base, and where the images go."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lapel.base.settings import Precision
from lapel.errors import UserError


@dataclass
class WearSettings:
    """What is worn, on which base, and where the images go."""

    adapter: list[Path] = field(default_factory=list)
    """One or several adapter files, in kohya's or diffusers' layout."""

    encoder: Path | None = None
    """A garment encoder in IP-Adapter's layout (.safetensors or .bin), or `tiny`, which lapel ships; worn alone or
    beside adapters."""

    garment_photo: list[Path] = field(default_factory=list)
    """Photos of the garment that the encoder is shown; of several, each counts."""

    encoder_weight: float = 1.0
    """How much the photos count: 1 as in training, 0 not at all."""

    image_tower: str | None = None
    """The image tower of the encoder; as its file says where not given, and the base's usual one where that says
    nothing."""

    like: Path | None = None
    """An image that lapel or WebUI has drawn: its prompt, seed, size, what it wears and its other settings hold where
    nothing else is said. What cannot be given back is told."""

    output_dir: Path = Path("images")
    """Folder of the images and their contact sheet; made where it is missing."""

    weight: list[float] = field(default_factory=list)
    """A weight for each adapter, or one for all: 1 as it was trained, 0 not at all; what its card recommends where not
    given."""

    base: str | None = None
    """`tiny`, a hub id, a diffusers folder or a single file; the base that the first adapter's card names where not
    given."""

    revision: str | None = None
    """Branch, tag or commit of a hub id; what the first adapter was made on where not given."""

    variant: str | None = None
    """Variant of the weight files of a hub id or folder, such as `fp16`; what the first adapter was made on where not
    given."""

    prediction_type: Literal["epsilon", "v_prediction"] | None = None
    """What the UNet predicts; where not given, as the first adapter was made, or as the base's files say."""

    zero_terminal_snr: bool | None = None
    """Whether the noise schedule ends in pure noise; where not given, as the first adapter was made, or as the base's
    files say."""

    vae: str | None = None
    """Another VAE than the base's: a file (.safetensors, .vae.pt), a diffusers folder or a hub id; what the first
    adapter's card names where not given."""

    clip_skip: int | None = None
    """As WebUI counts: 1 for the whole text encoder; what the first adapter's card says where not given."""

    embedding: list[Path] = field(default_factory=list)
    """Textual inversions (.safetensors, .pt or .bin of WebUI or diffusers) for the prompts; the word for one is its
    file's name, or, in diffusers' layout, the name inside."""

    precision: Precision | None = None
    """Of the base; bf16 where not given, or fp32 for `tiny` where the processor has no bf16 products."""

    def __post_init__(self) -> None:
        """One weight for all adapters becomes one for each.

        Raises:
            UserError: nothing that shows the garment, or another number of weights.
        """
        if not self.adapter and not self.encoder and not self.base:
            raise UserError(
                "give --adapter at least one file, or --encoder one and --garment_photo what it is shown, or --base a "
                "checkpoint that has learned the garment"
            )
        if self.garment_photo and not self.encoder:
            raise UserError("--encoder is missing: an encoder is shown photos of the garment")
        if len(self.weight) == 1:
            self.weight = self.weight * len(self.adapter)
        if self.weight and len(self.weight) != len(self.adapter):
            raise UserError(f"{len(self.weight)} weights for {len(self.adapter)} adapters; give one for each, or one")

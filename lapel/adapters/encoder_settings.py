"""What a user may say about a garment encoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Form = Literal["plus", "plain"]


@dataclass
class EncoderSettings:
    """The garment encoder that is learned."""

    form: Form = "plus"
    """`plus`: 16 tokens, resampled from every patch that the image tower sees, for clothes with patterns and prints.
    `plain`: 4 tokens from its pooled embedding: smaller and sooner trained, with less detail."""

    image_tower: str | None = None
    """The frozen model that looks at the garment: a CLIP vision model of transformers (hub id or folder), an open-clip
    model (hf-hub:owner/name, or a folder), or `tiny`. By default the base's own, or the ViT-H that front ends expect of
    an IP-Adapter."""

    start_from: Path | None = None
    """An IP-Adapter, trained here or released, of the same form and for the same image tower, to go on from; or `tiny`,
    the one that lapel ships."""

    align: float = 0.4
    """Share of the steps, the first ones, in which the encoder learns to add what a description of the garment would
    add, before it learns from photos alone (0 to 1). It takes a catalogue with captions of its own; photos without one
    are left out of these steps, and where there is none at all, so are the steps."""

    image_dropout: float = 0.05
    """Share of examples without the photo (0 to 1), so that guidance can tell what the photo adds."""

    text_dropout: float = 0.05
    """Share of examples without the caption (0 to 1)."""

    both_dropout: float = 0.05
    """Share of examples without either (0 to 1)."""

    compile: bool = False
    """Compile the UNet: its steps then take about two thirds of the time, after a few minutes of compiling. It needs a
    C++ compiler on a CPU."""

    sample_garments: int = 3
    """How many of the catalogue's garments the contact sheet shows."""

    def __post_init__(self) -> None:
        shares = [getattr(self, name) for name in ("image_dropout", "text_dropout", "both_dropout")]
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError("image_dropout, text_dropout and both_dropout are shares: from 0, and 1 at most together")
        if not 0 <= self.align <= 1:
            raise ValueError(f"align is {self.align}: give a share of the steps, from 0 to 1")
        if self.sample_garments < 1:
            raise ValueError(f"sample_garments is {self.sample_garments}: give a whole number above 0")

    @property
    def tokens(self) -> bool:
        """Whether every token of the image tower is wanted, or its pooled embedding."""
        return self.form == "plus"

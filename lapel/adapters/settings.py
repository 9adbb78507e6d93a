"""What a user may say about the adapter."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from lapel.base.settings import FrozenWeights

Kind = Literal["lora", "rslora", "dora", "loha", "lokr"]


class Size(NamedTuple):
    """How large a layer's update is, and how strong."""

    rank: int
    """0: the layer is not learned."""
    alpha: float


@dataclass
class AdapterSettings:
    """What is injected into the base and learned."""

    kind: Kind = "lora"
    """`lora` (Hu et al., 2021): alpha / rank times up @ down. `rslora` (Kalajdzievski, 2023): alpha over the rank's
    root, which keeps high ranks learning. `dora` (Liu et al., 2024): each row's length apart from its direction, a
    little closer to full fine-tuning at low ranks, slower, and its file for front ends holds whole weights. `loha`
    (Hyeon-Woo et al., 2022): the product, element by element, of two LoRAs. `lokr` (Yeh et al., 2024): a Kronecker
    product, the smallest file. diffusers reads no LoHa or LoKr: its file holds the nearest LoRA, several times as
    large."""
    rank: int = 16
    """Rank of every layer's update; 16 holds one garment, and 4 does as LoHa, whose rank counts squared. The file grows
    in proportion."""
    alpha: float | None = None
    """Scale of the update: alpha / rank. The rank unless given, so that the scale is 1; for `rslora`, its root."""
    convolutions: bool = False
    """Learn the UNet's convolutions too (a LoRA of them is known as LoCon): more texture, a file about twice as
    large."""
    blocks: list[str] = field(default_factory=lambda: ["unet"])
    """Which blocks learn: `unet`, `text_encoder` (and SDXL's `text_encoder_2`), or parts such as `down_blocks.1`,
    `mid_block`, `up_blocks.1.attentions.0`, `text_encoder.layers.11`. Each may have a rank and alpha of its own,
    `mid_block=8` or `mid_block=8/4`; rank 0 leaves it out. The narrowest block that holds a layer decides. Text
    encoders pick up the trigger sooner, at the cost of encoding every caption again at every step."""
    start_from_encoder: Path | None = None
    """A garment encoder (a file in IP-Adapter's layout, or `tiny`) that the base wears meanwhile, shown one of the
    photos: the adapter learns only what the encoder misses, and both are worn together afterwards."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank is {self.rank}; it must be 1 or more")
        if self.alpha is not None and self.alpha <= 0:
            raise ValueError(f"alpha is {self.alpha}; it must be above 0")
        if not self.blocks:
            raise ValueError("blocks is empty; name at least one, such as unet")
        names = [self._block(text)[0] for text in self.blocks]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"blocks names {twice} twice; give it once, with its rank and alpha")

    @property
    def sizes(self) -> dict[str, Size]:
        """Rank and alpha by block, as `blocks` names them."""
        return dict(self._block(text) for text in self.blocks)

    @property
    def text_encoder(self) -> bool:
        """Whether any text encoder learns."""
        return any(name.startswith("text_encoder") and size.rank for name, size in self.sizes.items())

    @property
    def words(self) -> str:
        """Everything that decides what is learned, in a line."""
        start = f" from {self.start_from_encoder}" if self.start_from_encoder else ""
        return f"{self.kind}{' with convolutions' * self.convolutions}{start} on " + ", ".join(
            f"{name} (rank {size.rank}, alpha {size.alpha:g})" if size.rank else f"not {name}"
            for name, size in self.sizes.items()
        )

    def _block(self, text: str) -> tuple[str, Size]:
        """A block's name and size out of NAME, NAME=RANK or NAME=RANK/ALPHA."""
        found = re.fullmatch(r"(?:unet\.)?([\w.]+?)(?:=(\d+)(?:/(\d+(?:\.\d+)?))?)?", text)
        if found is None or (found[3] is not None and not float(found[3])):
            raise ValueError(f"blocks has {text!r}; give BLOCK, BLOCK=RANK or BLOCK=RANK/ALPHA, such as mid_block=8/4")
        name, rank, alpha = found.groups()
        if rank is None:
            return name, Size(self.rank, self._alpha(self.rank, self.alpha))
        return name, Size(int(rank), self._alpha(int(rank), None if alpha is None else float(alpha)))

    def _alpha(self, rank: int, alpha: float | None) -> float:
        """alpha, or, unless given, what makes the scale 1."""
        if alpha is not None:
            return alpha
        return rank**0.5 if self.kind == "rslora" else float(rank)


def quantisable(kind: Kind) -> tuple[FrozenWeights, ...]:
    """In which precisions the frozen weights may be kept below an adapter of that kind, the exactest first.

    peft computes LoHa and LoKr from the shape of a weight, which packed ones have not, and has no DoRA of int8 layers
    that were in use before.
    """
    without: dict[Kind, FrozenWeights] = {"dora": "int8", "loha": "nf4", "lokr": "nf4"}
    every: tuple[FrozenWeights, ...] = ("full", "int8", "nf4")
    return tuple(precision for precision in every if precision != without.get(kind))

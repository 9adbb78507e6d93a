"""What a user may say about the adapter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass
class AdapterSettings:
    """What is injected into the base and learned."""

    adapter: Literal["lora", "dora"] = "lora"
    """`lora` (Hu et al., 2021), or `dora` (Liu et al., 2024), which learns each row's length apart from its direction:
    a little closer to full fine-tuning at low ranks, slower, and its file for WebUI and ComfyUI holds whole weights."""
    rank: int = 16
    """Rank of every layer's update; 16 holds one garment. The file grows in proportion."""
    alpha: float | None = None
    """Scale of the update: alpha / rank times up @ down. The rank unless given, so that the scale is 1."""
    convolutions: bool = False
    """Learn the UNet's convolutions too (known as LoCon): more texture, a file about twice as large."""
    text_encoder: bool = False
    """Learn the text encoders too: the trigger is picked up sooner, at the cost of encoding every caption again at
    every step."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank is {self.rank}; it must be 1 or more")
        if self.alpha is not None and self.alpha <= 0:
            raise ValueError(f"alpha is {self.alpha}; it must be above 0")

    @property
    def resolved_alpha(self) -> float:
        """`alpha`, or the rank where it is not given."""
        return float(self.rank if self.alpha is None else self.alpha)

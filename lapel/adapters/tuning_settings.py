"""What a user may say about fine-tuning a whole base."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TuningSettings:
    """Which weights of the base learn, how they are kept, and what is made of them."""

    text_encoder_learning_rate: list[float] = field(default_factory=list)
    """Peak rate of the text encoders: one, or one for each of SDXL's two (0 leaves that one as it is). By default none
    learns, which keeps other words as they are; a tenth of `learning_rate` picks up the trigger sooner."""

    fused_backward: bool = False
    """Step each weight as soon as its gradient is there, and free the gradient: a quarter to a third less memory, for
    the same weights. Needs `--gradient_accumulation 1` and `--max_grad_norm 0`."""

    ema_decay: float | None = None
    """Decay per step of a moving average of the weights (EMA), such as 0.99, which is then what is drawn, measured and
    exported; by default the weights themselves are. The average follows quickly at first."""

    ema_in_system_memory: bool = False
    """Keep the average in the system's memory rather than the GPU's: slower by one copy of the weights a step."""

    extract_rank: int = 32
    """Rank of the LoRA that is extracted from what was learned, by its singular values; 0 for none."""

    def __post_init__(self) -> None:
        if len(self.text_encoder_learning_rate) > 2:
            raise ValueError("text_encoder_learning_rate: a base has one text encoder, or two; give a rate for each")
        if any(rate < 0 for rate in self.text_encoder_learning_rate):
            raise ValueError("text_encoder_learning_rate is below 0: give rates above 0, or 0 for what does not learn")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay is {self.ema_decay}: give a number above 0 and below 1, or null")
        if self.ema_in_system_memory and self.ema_decay is None:
            raise ValueError("ema_in_system_memory: there is no average to keep; give ema_decay")
        if self.extract_rank < 0:
            raise ValueError(f"extract_rank is {self.extract_rank}: give a rank, or 0 for no LoRA")

    @property
    def text_encoder(self) -> bool:
        """Whether any text encoder learns."""
        return any(self.text_encoder_learning_rate)

    @property
    def words(self) -> str:
        """Everything that decides what is learned, in a line."""
        parts = ["whole UNet"]
        if self.text_encoder:
            rates = " and ".join(f"{rate:g}" for rate in self.text_encoder_learning_rate)
            parts.append(f"text encoder at rate {rates}")
        if self.ema_decay is not None:
            parts.append(f"averaged with decay {self.ema_decay:g}")
        return ", ".join(parts)

"""What a fine-tuning run says about itself beyond what every run of one garment does."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from lapel.errors import UserError
from lapel.training.facts import GarmentSettings

if TYPE_CHECKING:
    from lapel.adapters.tuning_settings import TuningSettings
    from lapel.training.run_settings import PlanSettings
    from lapel.training.settings import PriorSettings

KIND = "dreambooth"
"""On the card."""


@dataclasses.dataclass
class Settings(GarmentSettings):
    """All the settings of a fine-tuning of one garment, in the order of its `CLASSES`."""

    tuning: TuningSettings
    prior: PriorSettings
    plan: PlanSettings

    @property
    def learned(self) -> str:
        return self.tuning.words

    def require_sound(self) -> None:
        """Refuse settings that contradict each other.

        Raises:
            UserError: all of them, a line each.
        """
        findings = []
        if self.tuning.text_encoder and self.captions.cache_text:
            findings.append(
                "--text_encoder_learning_rate trains a text encoder, which --cache_text gives up: add "
                "--cache_text false"
            )
        if self.base.frozen_weights != "full":
            findings.append(f"--frozen_weights {self.base.frozen_weights}: here all weights learn, and none is frozen")
        if self.base.stream_weights:
            findings.append("--stream_weights: here all weights learn, and none is frozen")
        if self.tuning.text_encoder and self.base.offload_text:
            findings.append("--text_encoder_learning_rate trains what --offload_text keeps from the GPU: leave one out")
        if self.tuning.fused_backward:
            if self.optimizer.gradient_accumulation > 1:
                findings.append("--fused_backward gives no gradients to accumulate: --gradient_accumulation 1")
            if self.optimizer.max_grad_norm:
                findings.append("--fused_backward never sees all gradients, to clip them: --max_grad_norm 0")
            if self.base.precision == "fp16":
                findings.append("--fused_backward cannot undo fp16's loss scaling: take --precision bf16")
        if findings:
            raise UserError(*findings)


def with_prior(same: dict[str, str], settings: Settings) -> dict[str, str]:
    """What must be the same for a checkpoint to go on."""
    way = "fused" if settings.tuning.fused_backward else "plain"
    return {**same, "prior": settings.prior.words, "backward": way}


def with_kind(facts: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The facts of the card, with what the files are and how the class was kept."""
    return {**facts, "kind": KIND, "prior": settings.prior.words, "extract_rank": settings.tuning.extract_rank}

"""Settings of a training: what a step minimises, and how it is minimised."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

OptimizerName = Literal["adamw8bit", "adamw", "paged_adamw8bit", "lion8bit", "sgd"]
ScheduleName = Literal["cosine", "constant", "linear"]
PriorName = Literal["base", "class_images", "none"]


@dataclass
class ObjectiveSettings:
    """What a training step minimises."""

    min_snr_gamma: float | None = 5.0
    """Cap of the signal-to-noise ratio in the loss weights (Hang et al. 2023); null for unweighted."""

    masked: bool = True
    """Whether the loss looks at the garment's mask, normalised by its area, so that a small garment learns as fast."""

    outside_weight: float = 0.3
    """Weight of the loss outside the mask (0 to 1): less, for the garment is what is to be learned."""

    def __post_init__(self) -> None:
        if self.min_snr_gamma is not None and self.min_snr_gamma <= 0:
            raise ValueError(f"min_snr_gamma is {self.min_snr_gamma}: give a number above 0, or null")
        if not 0 <= self.outside_weight <= 1:
            raise ValueError(f"outside_weight is {self.outside_weight}: give a number from 0 to 1")

    @property
    def keeps_surroundings(self) -> bool:
        """Whether what is outside the mask is to stay as the base draws it."""
        return False


@dataclass
class GarmentObjectiveSettings(ObjectiveSettings):
    """What a training step minimises that learns a single garment."""

    outside: Literal["base", "photo"] = "base"
    """What the loss outside the mask compares with. base: with what the base itself predicts there for the caption
    without the trigger, so that scenes stay as the base draws them and nothing of the photos' surroundings is learned;
    a third more time a step. photo: with the photo, whose surroundings are then learned, at `outside_weight`."""

    @property
    def keeps_surroundings(self) -> bool:
        """Whether what is outside the mask is to stay as the base draws it."""
        return self.masked and self.outside == "base" and self.outside_weight > 0


@dataclass
class LoraObjectiveSettings(GarmentObjectiveSettings):
    """What a training step of a LoRA minimises."""

    text_to_image_share: float = 0.5
    """Of an inpainting base: share of examples (0 to 1) whose picture is hidden wholly, as for text to image. Of the
    others the garment is hidden, closely, loosely or in its box, as for a change of clothes. What is learned from both
    is worn on either kind of base."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.text_to_image_share <= 1:
            raise ValueError(f"text_to_image_share is {self.text_to_image_share}: give a number from 0 to 1")


@dataclass
class CaptionSettings:
    """What becomes of the captions of one garment's photos."""

    caption_dropout: float = 0.2
    """Share of examples with the empty caption (0 to 1), whose target is what the base itself predicts: guidance, which
    steers away from that, would otherwise steer away from the garment."""

    class_share: float = 0.0
    """Of the other examples, the share (0 to below 1) whose caption names the class word without the trigger, and whose
    target is what the base itself predicts: so that the class word alone stays what it was."""

    cache_text: bool = True
    """Encode the captions once and free the text encoder; must be false where the text encoder itself is trained."""

    def __post_init__(self) -> None:
        if not 0 <= self.caption_dropout <= 1:
            raise ValueError(f"caption_dropout is {self.caption_dropout}: give a number from 0 to 1")
        if not 0 <= self.class_share < 1:
            raise ValueError(f"class_share is {self.class_share}: give a number from 0 to below 1")

    @property
    def words(self) -> str:
        """How often captions do not name the garment."""
        shares = {"nothing": self.caption_dropout, "the class word": (1 - self.caption_dropout) * self.class_share}
        return ", ".join(f"{share:.2g} {words}" for words, share in shares.items() if share) or "always the garment"


@dataclass
class OptimizerSettings:
    """How the objective is minimised."""

    optimizer: OptimizerName = "adamw8bit"
    """adamw8bit (bitsandbytes: a quarter of AdamW's memory), paged_adamw8bit, lion8bit, adamw or sgd."""

    learning_rate: float = 1e-4
    """Peak rate. With alpha = rank it is comparable across ranks."""

    schedule: ScheduleName = "cosine"
    """How the rate goes on after the warm-up: cosine or linear to zero, or constant."""

    warmup: float = 0.05
    """Share of the steps over which the rate rises from zero (0 to 1)."""

    weight_decay: float = 0.01
    """Decoupled weight decay of AdamW."""

    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 leaves them as they are."""

    batch_size: int = 4
    """Photos in a forward pass, in each process."""

    gradient_accumulation: int = 1
    """Forward passes whose gradients are averaged into one step: a larger batch in the memory of a small one."""

    steps: int = 800
    """Optimizer steps of the whole run."""

    seed: int = 0
    """Every random choice of the run is a function of this and the step."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "gradient_accumulation", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give a whole number above 0")
        for name in ("weight_decay", "max_grad_norm", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: give a number of at least 0")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate is {self.learning_rate}: give a number above 0")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup is {self.warmup}: give a share of the steps, from 0 to 1")


@dataclass
class PriorSettings:
    """What keeps the class word as the base draws it, while its weights learn one garment."""

    prior: PriorName = "base"
    """base: what the base itself predicts, for the photos' captions without the trigger and outside the garment; needs
    no images. class_images: images of the class that the base draws once (Ruiz et al., 2023). none: nothing, and every
    garment of the class becomes this one."""

    prior_weight: float = 1.0
    """Weight of the prior's loss beside the photos' own."""

    class_prompt: str | None = None
    """What the class is called, such as "a photo of a t-shirt". By default each caption without its trigger, so that
    views and scenes are kept as well."""

    class_images: int = 100
    """How many class images there are; those that were drawn before, by the same base, are used again."""

    class_steps: int = 25
    """Denoising steps of a class image."""

    class_guidance: float = 5.0
    """Classifier-free guidance of a class image."""

    def __post_init__(self) -> None:
        for name in ("class_images", "class_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give a whole number above 0")
        for name in ("prior_weight", "class_guidance"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: give a number of at least 0")
        if self.class_prompt is not None and not self.class_prompt.strip():
            raise ValueError("class_prompt is empty: give a prompt, or leave the setting out")

    @property
    def words(self) -> str:
        """Everything that decides what is kept, in a line."""
        prompt = f"'{self.class_prompt}'" if self.class_prompt else "the captions without the trigger"
        if self.prior == "none":
            return "none"
        if self.prior == "base":
            return f"the base's own output, weight {self.prior_weight:g}, on {prompt} and outside the garment"
        drawn = f"{self.class_steps} steps, guidance {self.class_guidance:g}"
        return f"{self.class_images} class images, weight {self.prior_weight:g}, of {prompt} ({drawn})"


@dataclass
class InversionSettings:
    """Textual inversion (Gal et al., 2022) of the trigger, before anything else learns: pivotal tuning."""

    inversion_steps: int = 0
    """Steps in which the trigger's own vectors learn, and nothing else; 0 for none. The word is saved beside what is
    learned then, as a file that must be worn with it. A few hundred are enough."""

    inversion_learning_rate: float = 5e-3
    """Rate of the vectors: far above that of weights."""

    inversion_vectors: int = 2
    """How many tokens the trigger then stands for (1 to 75)."""

    def __post_init__(self) -> None:
        if self.inversion_steps < 0:
            raise ValueError(f"inversion_steps is {self.inversion_steps}: give a number of steps, or 0 for none")
        if self.inversion_learning_rate <= 0:
            raise ValueError(f"inversion_learning_rate is {self.inversion_learning_rate}: give a number above 0")
        if not 1 <= self.inversion_vectors <= 75:
            raise ValueError(f"inversion_vectors is {self.inversion_vectors}: give a number from 1 to 75")

    def trigger(self, listed: str, default: str, name: str) -> str:
        """The trigger as it is listed; where a word is learned, which must be new, the default becomes `emb-<name>`."""
        if not self.inversion_steps or listed != default:
            return listed
        return "emb-" + (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "garment")

    @property
    def rows(self) -> dict[str, str]:
        """What the table of a run's start says of it."""
        learned = f"{self.inversion_vectors} vectors, {self.inversion_steps} steps at {self.inversion_learning_rate:g}"
        return {"trigger": f"learned first, as {learned}"} if self.inversion_steps else {}


def with_preset(argv: list[str], preset: str) -> list[str]:
    """The command line; where it names neither a base nor a preset, with the preset of the base that is then used."""
    names_one = any(word.split("=")[0] in ("--base", "--config") for word in argv)
    return argv if names_one else ["--config", preset, *argv]

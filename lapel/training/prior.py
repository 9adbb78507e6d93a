"""What a fine-tuning keeps of the class: class images, or the base itself beside the one that learns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.adapters.tuning import frozen_copy
from lapel.base.base import Base
from lapel.photos.captions import of_the_class
from lapel.training.class_images import ClassBatches, class_examples
from lapel.training.data import Batches
from lapel.training.encoding import text_of
from lapel.training.intake import Intake
from lapel.training.predict import Predict, predictor, without_gradients
from lapel.training.settings import PriorName
from lapel.training.tuning_facts import Settings

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class Prior:
    """What a training step needs of the class."""

    kind: PriorName
    weight: float
    batches: Any
    """Batches of photos; with `class_images`, each with as many class images."""
    predict: Predict
    """What the learning base predicts of the class: captions are numbers of the class images', or, with `base`, of the
    photos', each standing for its own without the trigger."""
    own: Predict | None
    """What the base itself predicts, without gradients, for the photos' captions without the trigger; None where
    nothing asks for it, so that no second UNet is in memory."""


def prepare_prior(settings: Settings, base: Base, seen: Intake, accelerator: Accelerator, cache_dir: Path) -> Prior:
    """Make the prior ready while the base is still as it was, and has its encoders.

    Class images are drawn where the cache lacks them; the first process does, the others wait.
    """
    asked, live = settings.prior, not settings.captions.cache_text
    captions, batches = [_of_class(settings, seen, caption) for caption in seen.batches.captions], seen.batches
    with accelerator.main_process_first():
        kept = text_of(base, captions, True, cache_dir)
        text = text_of(base, captions, False, cache_dir) if live else kept
        if asked.prior == "class_images":
            classes = _class_batches(settings, base, seen, accelerator, cache_dir)
            text = text_of(base, classes.captions, not live, cache_dir)
            batches = ClassBatches(seen.batches, classes)  # type: ignore[assignment]
    own = None
    if keeps_base(settings):
        assert settings.base.precision is not None, "the trainer settles it"
        own = without_gradients(predictor(frozen_copy(base, settings.base.precision), kept, accelerator))
    return Prior(asked.prior, asked.prior_weight, batches, predictor(base, text, accelerator), own)


def keeps_base(settings: Settings) -> bool:
    """Whether a training step asks what the base itself predicts, for which a copy of it stays."""
    left_out = settings.captions.caption_dropout or settings.captions.class_share
    return settings.prior.prior == "base" or bool(left_out) or settings.objective.keeps_surroundings


def _of_class(settings: Settings, seen: Intake, caption: str) -> str:
    """What stands for a caption in the class; the empty one stays empty."""
    garment = seen.garment
    plain = of_the_class(caption, garment.trigger, garment.class_word)
    return settings.prior.class_prompt or plain if caption else ""


def _class_batches(settings: Settings, base: Base, seen: Intake, accelerator: Accelerator, cache_dir: Path) -> Batches:
    prompts = [_of_class(settings, seen, example.caption) for example in seen.examples]
    examples = class_examples(
        base, settings.base, settings.prior, seen.examples, prompts, cache_dir, settings.run.sample_batch
    )
    return Batches(
        examples,
        seed=settings.optimizer.seed + 1,  # other noise than the photos' own
        batch_size=settings.optimizer.batch_size,
        timesteps=seen.batches.timesteps,
        device=base.device,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
    )

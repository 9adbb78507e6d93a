"""From a garment folder to the batches of a training."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lapel.base.base import Base
from lapel.fidelity.models import load_models
from lapel.photos import GarmentFolder, read_garment
from lapel.photos.captions import of_the_class
from lapel.training.clock import Clock
from lapel.training.data import Batches, Example
from lapel.training.encoding import Text, encode_photos, text_of
from lapel.training.evaluation import photos_to_learn
from lapel.training.facts import GarmentSettings
from lapel.training.inversion import learn_word
from lapel.training.objective import Objective
from lapel.training.run_folder import RunFolder

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class Intake:
    """What a training has of the garment."""

    garment: GarmentFolder
    examples: list[Example]
    batches: Batches
    text: Text
    """Of `batches.captions`, by their numbers."""
    class_text: Text
    """Of what stands for these captions in the class, without the trigger, by the same numbers."""


def take_in(
    settings: GarmentSettings,
    base: Base,
    objective: Objective,
    accelerator: Accelerator,
    folder: RunFolder,
    clock: Clock,
    cache_dir: Path,
    text_to_image_share: float = 1.0,
) -> Intake:
    """Photos become latents and captions embeddings, each once; the first process fills the caches, the others read.

    Between the two, the trigger is learned where the settings ask for that.

    Args:
        text_to_image_share: how often an inpainting base has a whole picture hidden; as in `LoraObjectiveSettings`.

    Raises:
        UserError: every photo that is unfit; a trigger that cannot be learned.
    """
    with accelerator.main_process_first():
        resolution = settings.photos.resolution or base.resolution
        garment = read_garment(settings.photos, resolution, base.multiple, cache_dir, load_models(settings.photos))
        garment.require_sound()
        of_class = partial(of_the_class, trigger=garment.trigger, class_word=garment.class_word)
        examples = encode_photos(base, photos_to_learn(garment, settings.choice), cache_dir, settings.photos)
        batches = Batches(
            examples,
            caption_dropout=settings.captions.caption_dropout,
            seed=settings.optimizer.seed,
            batch_size=settings.optimizer.batch_size,
            timesteps=objective.timesteps,
            photo_share=settings.photos.photo_share,
            text_to_image_share=text_to_image_share,
            class_share=settings.captions.class_share,
            of_class=of_class,
            device=base.device,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
        )
    if settings.inversion.inversion_steps:
        with clock.phase("inversion"):
            named = copy(batches)
            named.class_share = 0  # what does not name the word tells nothing of it
            learn_word(settings, base, objective, garment, named, accelerator, cache_dir, folder.path)
    with accelerator.main_process_first():
        text = text_of(base, batches.captions, settings.captions.cache_text, cache_dir)
        class_text = text_of(base, [*map(of_class, batches.captions)], settings.captions.cache_text, cache_dir)
    return Intake(garment, examples, batches, text, class_text)

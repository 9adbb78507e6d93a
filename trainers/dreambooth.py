"""Fine-tune a whole base on one garment: accelerate launch trainers/dreambooth.py --garment_dir DIR

DreamBooth (Ruiz et al. 2023) lets all weights of the UNet learn, and the text encoders' too where they get a rate. A
rare word takes on the garment; a prior keeps the class word as the base draws it. What comes out is a checkpoint for
every front end, and a LoRA that is extracted from it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.adapters.find import check_worn
from lapel.adapters.tuning_settings import TuningSettings
from lapel.base.find_tower import check_tower
from lapel.base.settings import BaseSettings
from lapel.errors import run_program
from lapel.files import require_writable
from lapel.photos import GarmentFolder, PhotoSettings, check_garment_dir
from lapel.photos.folder import DEFAULT_TRIGGER
from lapel.quiet import quiet
from lapel.settings import read_settings
from lapel.training.clock import Clock
from lapel.training.facts import card_facts, file_metadata, file_name, identity, start_table
from lapel.training.processes import all_processes
from lapel.training.run_folder import RunFolder, step_of
from lapel.training.run_settings import ChoiceSettings, PlanSettings, RunSettings
from lapel.training.settings import (
    CaptionSettings,
    GarmentObjectiveSettings,
    InversionSettings,
    OptimizerSettings,
    PriorSettings,
    with_preset,
)
from lapel.training.tuning_facts import Settings, with_kind, with_prior

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

    from lapel.base.base import Base
    from lapel.training.class_images import ClassBatch
    from lapel.training.data import Batch
    from lapel.training.evaluation import Evaluation
    from lapel.training.loop import Lesson
    from lapel.training.objective import Objective
    from lapel.training.predict import Predict
    from lapel.training.prior import Prior

CLASSES = (
    *(PhotoSettings, BaseSettings, GarmentObjectiveSettings, CaptionSettings),
    *(OptimizerSettings, RunSettings, ChoiceSettings),
    *(InversionSettings, TuningSettings, PriorSettings, PlanSettings),
)


def main() -> None:
    """Refuse whatever is wrong before a heavy library is imported, then train, in as many processes as asked for."""
    argv = with_preset(sys.argv[1:], "tiny-dreambooth")
    settings = Settings(*read_settings(__doc__ or "", *CLASSES, argv=argv))
    settings.require_sound()
    check_worn(settings.base)
    check_tower(settings.choice.tower, "--tower")
    listing = check_garment_dir(settings.photos)
    settings.photos.trigger = settings.inversion.trigger(listing.trigger, DEFAULT_TRIGGER, listing.name)
    folder = RunFolder(settings.run.output_dir or Path("runs") / f"{listing.name}-dreambooth")
    require_writable(folder.path)
    checkpoint = folder.checkpoint_to_resume(settings.run)

    with all_processes():
        train(settings, folder, checkpoint)


def train(settings: Settings, folder: RunFolder, checkpoint: Path | None) -> None:
    """Plan, load, encode, learn, choose and export: the story of the run."""
    clock = Clock.from_launch()
    with clock.phase("imports"):
        quiet()
        from lapel.adapters.tuning import load_tunable_base
        from lapel.base.load import usual_precision
        from lapel.report import keep_photos
        from lapel.training.launch import device, make_accelerator
        from lapel.training.loop import begin, learn
        from lapel.training.plan import dreambooth_recipe, plan_facts, plan_run
    with clock.phase("plan"):
        settings, plan = plan_run(settings, dreambooth_recipe(settings, denoising_loss), device())
    with clock.phase("load"):
        base = load_tunable_base(settings.base, device())
        # What the machine settled is part of what repeats the run.
        settings.base.precision = settings.base.precision or usual_precision(settings.base.base, device())
        resumed_at = step_of(checkpoint) if checkpoint else 0
        accelerator = make_accelerator(settings.base.precision, folder, settings.run, resumed_at)
    with clock.phase("encode"):
        garment, lesson, evaluation = prepare(settings, base, accelerator, folder, clock)
    if accelerator.is_main_process:
        numbers, processes = lesson.trainable.count, accelerator.num_processes
        table = start_table(settings, garment, base, numbers, processes, folder.path, evaluation.words())
        print(f"{table}\n  {'prior':<12}{settings.prior.words}", flush=True)
    try:
        begin(lesson, settings, folder, checkpoint)
        if accelerator.is_main_process:
            keep_photos(folder.path, garment)
        learn(lesson, settings.optimizer, settings.run, folder, clock, evaluation)
    finally:
        accelerator.end_training()
    if accelerator.is_main_process:
        export(base, settings, garment, folder, clock, {**evaluation.choose(), **plan_facts(plan)})


def prepare(
    settings: Settings, base: Base, accelerator: Accelerator, folder: RunFolder, clock: Clock
) -> tuple[GarmentFolder, Lesson, Evaluation]:
    """Photos become latents and captions embeddings; the prior is made ready; the base's weights start to learn."""
    from lapel.adapters.tuning import tune
    from lapel.training.average import Average
    from lapel.training.checkpoint import trained_weights
    from lapel.training.encoding import cache_folder, content_name
    from lapel.training.evaluation import evaluation_of, judging_tower
    from lapel.training.fused import trainable_of
    from lapel.training.intake import take_in
    from lapel.training.loop import make_lesson
    from lapel.training.objective import Objective
    from lapel.training.predict import predictor
    from lapel.training.prior import prepare_prior

    objective = Objective(base.scheduler, settings.objective).to(base.device)
    cache_dir, tuning = cache_folder(settings.run.cache_dir), settings.tuning
    judging = accelerator.is_main_process
    tower = judging_tower(settings, base.device) if judging else None
    seen = take_in(settings, base, objective, accelerator, folder, clock, cache_dir)
    prior = prepare_prior(settings, base, seen, accelerator, cache_dir)
    groups, rates = tune(base, settings.optimizer.learning_rate, tuning.text_encoder_learning_rate)
    if settings.captions.cache_text:
        base.release_encoders()

    weights = trained_weights(base)
    trainable, optimizer = trainable_of(groups, rates, settings.optimizer, accelerator, tuning.fused_backward)
    average = None
    if tuning.ema_decay is not None:
        average = Average(trainable.pieces, tuning.ema_decay, tuning.ema_in_system_memory)
    judged = (settings, base, seen.garment, folder, weights, clock, judging, tower)
    evaluation = evaluation_of(*judged, average=average)
    loss = denoising_loss(objective, predictor(base, seen.text, accelerator), prior)
    same = with_prior(identity(settings, base, content_name(seen.examples)), settings)
    made = (accelerator, prior.batches, loss, trainable, weights, settings.optimizer, same, optimizer, average)
    lesson = make_lesson(*made, choice=evaluation.choice)
    return seen.garment, lesson, evaluation


def denoising_loss(objective: Objective, predict: Predict, prior: Prior) -> Callable[[Any], Tensor]:
    """The photos' loss, and beside it that of the prior: of class images, or of what the base itself predicts."""
    import torch

    from lapel.training.losses import photo_loss

    photos = photo_loss(objective, predict, prior.own)

    def beside_class_images(batch: ClassBatch) -> Tensor:
        images = batch.classes
        noised = objective.noised(images.latents, images.noise, images.timesteps)
        target = objective.target(images.latents, images.noise, images.timesteps)
        predicted = prior.predict(noised, images.timesteps, images.captions)
        return photos(batch) + prior.weight * objective.loss(predicted, target, images.timesteps, images.mask)

    def beside_base(batch: Batch) -> Tensor:
        assert prior.own is not None
        noised = objective.noised(batch.latents, batch.noise, batch.timesteps)
        own = prior.own(noised, batch.timesteps, batch.captions)
        # Outside the garment, and where the caption is left out, the picture stays what the base makes of it.
        dropped = torch.tensor(batch.dropped, dtype=torch.int64, device=own.device)
        mask = batch.mask.index_fill(0, dropped, 0.0)
        target = torch.lerp(own, objective.target(batch.latents, batch.noise, batch.timesteps), mask)
        whole = batch.mask.index_fill(0, dropped, 1.0)
        learned = objective.loss(predict(noised, batch.timesteps, batch.captions), target, batch.timesteps, whole)
        of_class = prior.predict(noised, batch.timesteps, batch.captions)
        return learned + prior.weight * objective.loss(of_class, own, batch.timesteps, torch.ones_like(mask))

    return {"none": photos, "class_images": beside_class_images, "base": beside_base}[prior.kind]


def export(
    base: Base, settings: Settings, garment: GarmentFolder, folder: RunFolder, clock: Clock, chosen: dict[str, Any]
) -> None:
    """Write the checkpoint for all front ends, prove that the files hold what was learned, and tell about the run."""
    from lapel.adapters.tuned import save_tuned
    from lapel.adapters.verify import reading_lines
    from lapel.report import thumbnail, write_run
    from lapel.training.evaluation import ending
    from lapel.training.inversion import kept_word

    with clock.phase("export"):
        metadata = file_metadata(settings, garment, base, sum(clock.seconds.values()), chosen)
        preview = folder.preview(chosen.get("kept_step"))
        metadata["modelspec.thumbnail"] = thumbnail(preview, garment.photos[0]["image"])
        name, rank = file_name(garment.name), settings.tuning.extract_rank
        files, readings = save_tuned(base, settings.base, folder.path, name, metadata, rank)
        files += kept_word(settings, base, folder.path)
    with clock.phase("report"):
        facts = with_kind(card_facts(settings, garment, base, files, clock.seconds, chosen), settings)
        files += write_run(folder.path, facts, preview)
    print(ending(reading_lines(readings), [*files, folder.samples / "sheet.png"], chosen, clock, facts["peak_memory"]))


if __name__ == "__main__":
    run_program(main)

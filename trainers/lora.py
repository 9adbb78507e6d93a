"""Learn a LoRA of one garment from a folder of its photos: accelerate launch trainers/lora.py --garment_dir DIR

LoRA (Hu et al. 2021) keeps the base frozen and learns a difference alpha / rank * up @ down for each of its attention
and feed-forward layers. The photos become latents once; a step noises some of them and compares what the UNet predicts.
On the way samples are drawn and measured by the photos, and the step whose samples are best is exported. A LoRA may
start from a garment encoder, and then learns only what that misses.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.adapters.find import check_worn
from lapel.adapters.settings import AdapterSettings
from lapel.base.find_tower import check_tower
from lapel.base.settings import BaseSettings
from lapel.errors import run_program
from lapel.files import require_writable
from lapel.photos import GarmentFolder, PhotoSettings, check_garment_dir
from lapel.photos.folder import DEFAULT_TRIGGER
from lapel.quiet import quiet
from lapel.settings import read_settings
from lapel.training.clock import Clock
from lapel.training.facts import Settings, card_facts, file_metadata, file_name, identity, start_table
from lapel.training.processes import all_processes
from lapel.training.run_folder import RunFolder, step_of
from lapel.training.run_settings import ChoiceSettings, PlanSettings, RunSettings, StrengthSettings
from lapel.training.settings import (
    CaptionSettings,
    InversionSettings,
    LoraObjectiveSettings,
    OptimizerSettings,
    with_preset,
)

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

    from lapel.base.base import Base
    from lapel.training.data import Batch
    from lapel.training.evaluation import Evaluation
    from lapel.training.loop import Lesson
    from lapel.training.objective import Objective
    from lapel.training.predict import Predict
    from lapel.training.start import Start

CLASSES = (
    *(PhotoSettings, BaseSettings, LoraObjectiveSettings, CaptionSettings),
    *(OptimizerSettings, RunSettings, ChoiceSettings),
    *(InversionSettings, AdapterSettings, StrengthSettings, PlanSettings),
)


def main() -> None:
    """Refuse whatever is wrong before a heavy library is imported, then train, in as many processes as asked for."""
    argv = with_preset(sys.argv[1:], "tiny")
    settings = Settings(*read_settings(__doc__ or "", *CLASSES, argv=argv))
    check_worn(settings.base)
    check_tower(settings.choice.tower, "--tower")
    listing = check_garment_dir(settings.photos)
    settings.photos.trigger = settings.inversion.trigger(listing.trigger, DEFAULT_TRIGGER, listing.name)
    folder = RunFolder(settings.run.output_dir or Path("runs") / listing.name)
    require_writable(folder.path)
    checkpoint = folder.checkpoint_to_resume(settings.run)

    with all_processes():
        train(settings, folder, checkpoint)


def train(settings: Settings, folder: RunFolder, checkpoint: Path | None) -> None:
    """Plan, load, encode, learn, choose and export: the story of the run."""
    clock = Clock.from_launch()
    with clock.phase("imports"):
        quiet()
        from lapel.adapters.fuse import load_fused_base
        from lapel.adapters.targets import layer_sizes
        from lapel.report import keep_photos
        from lapel.training.launch import device, make_accelerator
        from lapel.training.loop import begin, learn
        from lapel.training.plan import lora_recipe, plan_facts, plan_run
    with clock.phase("plan"):
        settings, plan = plan_run(settings, lora_recipe(settings, denoising_loss), device())
    with clock.phase("load"):
        base = load_fused_base(settings.base, device())
        layer_sizes(base.models, settings.adapter)  # refuses blocks that this base has not
        resumed_at = step_of(checkpoint) if checkpoint else 0
        settings.base.precision = base.precision  # what the machine settled is part of what repeats the run
        accelerator = make_accelerator(base.precision, folder, settings.run, resumed_at)
    with clock.phase("encode"):
        garment, lesson, evaluation, start = prepare(settings, base, accelerator, folder, clock)
    if accelerator.is_main_process:
        numbers, processes = lesson.trainable.count, accelerator.num_processes
        print(start_table(settings, garment, base, numbers, processes, folder.path, evaluation.words()), flush=True)
    try:
        begin(lesson, settings, folder, checkpoint)
        if accelerator.is_main_process:
            keep_photos(folder.path, garment)
        learn(lesson, settings.optimizer, settings.run, folder, clock, evaluation)
    finally:
        accelerator.end_training()
    if accelerator.is_main_process:
        chosen = {**evaluation.choose(), **plan_facts(plan)}
        export(base, settings, garment, start, folder, clock, chosen)


def prepare(
    settings: Settings, base: Base, accelerator: Accelerator, folder: RunFolder, clock: Clock
) -> tuple[GarmentFolder, Lesson, Evaluation, Start | None]:
    """Photos become latents and captions embeddings; the encoders' memory is given back; the adapter goes in."""
    from lapel.adapters.inject import inject
    from lapel.training.checkpoint import trained_weights
    from lapel.training.encoding import cache_folder, content_name
    from lapel.training.evaluation import evaluation_of, judging_tower, photos_to_learn
    from lapel.training.intake import take_in
    from lapel.training.loop import make_lesson
    from lapel.training.objective import Objective
    from lapel.training.optimizer import Trainable
    from lapel.training.predict import predictor
    from lapel.training.start import start_from

    objective = Objective(base.scheduler, settings.objective).to(base.device)
    cache_dir, hidden = cache_folder(settings.run.cache_dir), settings.objective.text_to_image_share
    judging = accelerator.is_main_process
    tower = judging_tower(settings, base.device) if judging else None
    seen = take_in(settings, base, objective, accelerator, folder, clock, cache_dir, text_to_image_share=hidden)
    if settings.captions.cache_text:
        base.release_encoders()

    encoder, start = settings.adapter.start_from_encoder, None
    if encoder is not None:
        start = start_from(encoder, base, photos_to_learn(seen.garment, settings.choice))
    trainable = Trainable(inject(base, settings.adapter, settings.optimizer.seed))
    weights, strengths = trained_weights(base), settings.strength.strengths
    shown = start.shown if start else None
    judged = (settings, base, seen.garment, folder, weights, clock, judging, tower)
    evaluation = evaluation_of(*judged, strengths, shown=shown)
    predict, of_class = predictor(base, seen.text, accelerator), predictor(base, seen.class_text, accelerator)
    if start is not None:
        predict = start.predict(predict, named=seen.batches.named)
        of_class = start.predict_unseen(of_class)
    loss = denoising_loss(base, objective, predict, of_class)
    same = identity(settings, base, content_name(seen.examples)) | (start.identity if start else {})
    lesson = make_lesson(
        accelerator, seen.batches, loss, trainable, weights, settings.optimizer, same, choice=evaluation.choice
    )
    return seen.garment, lesson, evaluation, start


def denoising_loss(base: Base, objective: Objective, predict: Predict, of_class: Predict) -> Callable[[Batch], Tensor]:
    """The photos' loss of the adapted UNet; the base's own predictions are those of the class without the adapter."""
    import torch

    from lapel.adapters.inject import without_adapter
    from lapel.training.losses import photo_loss

    def own(noised: Tensor, timesteps: Tensor, captions: Tensor, features: Tensor | None = None) -> Tensor:
        with without_adapter(base), torch.no_grad():
            return of_class(noised, timesteps, captions)

    return photo_loss(objective, predict, own)


def export(
    base: Base,
    settings: Settings,
    garment: GarmentFolder,
    start: Start | None,
    folder: RunFolder,
    clock: Clock,
    chosen: dict[str, Any],
) -> None:
    """Write the adapter for all front ends, prove that the files hold what was learned, and tell about the run."""
    from lapel.adapters.encoder import remove_encoder
    from lapel.adapters.export import save_adapter
    from lapel.adapters.fuse import reload_fused_encoders
    from lapel.adapters.verify import reading_lines, verify_adapter
    from lapel.report import thumbnail, write_run
    from lapel.training.evaluation import ending
    from lapel.training.inversion import kept_word

    with clock.phase("export"):
        if start is not None:
            remove_encoder(base)  # it has a file of its own
        metadata = file_metadata(settings, garment, base, sum(clock.seconds.values()), chosen)
        preview = folder.preview(chosen.get("kept_step"))
        metadata["modelspec.thumbnail"] = thumbnail(preview, garment.photos[0]["image"])
        files = save_adapter(base, folder.path, file_name(garment.name), metadata)
        if not base.text_encoders:
            reload_fused_encoders(base, settings.base)
        proof = reading_lines(verify_adapter(base, files))
        files += kept_word(settings, base, folder.path)
    with clock.phase("report"):
        facts = card_facts(settings, garment, base, files, clock.seconds, chosen) | (start.facts if start else {})
        files += write_run(folder.path, facts, preview)
    print(ending(proof, [*files, folder.samples / "sheet.png"], chosen, clock, facts["peak_memory"]))


if __name__ == "__main__":
    run_program(main)

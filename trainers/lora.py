"""Learn a LoRA of one garment from a folder of its photos: accelerate launch trainers/lora.py --garment_dir DIR

LoRA (Hu et al. 2021) keeps the base frozen and learns a difference alpha / rank * up @ down for each of its attention
and feed-forward layers. The photos become latents once; a step noises some of them and compares what the UNet predicts.
On the way samples are drawn and measured by the photos, and the step whose samples are best is exported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.adapters.find import check_worn
from lapel.adapters.settings import AdapterSettings
from lapel.base.settings import BaseSettings
from lapel.errors import UserError, run_program
from lapel.files import require_writable
from lapel.photos import GarmentFolder, PhotoSettings, check_garment_dir, read_garment
from lapel.quiet import quiet
from lapel.settings import read_settings
from lapel.training.clock import Clock
from lapel.training.facts import Settings, card_facts, file_metadata, file_name, identity, start_table
from lapel.training.processes import all_processes
from lapel.training.run_folder import RunFolder, step_of
from lapel.training.settings import (
    CaptionSettings,
    ChoiceSettings,
    ObjectiveSettings,
    OptimizerSettings,
    RunSettings,
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

CLASSES = (
    *(PhotoSettings, BaseSettings, AdapterSettings, ObjectiveSettings, CaptionSettings),
    *(OptimizerSettings, RunSettings, ChoiceSettings),
)


def main() -> None:
    """Refuse whatever is wrong before a heavy library is imported, then train, in as many processes as asked for."""
    argv = with_preset(sys.argv[1:], "tiny")
    settings = Settings(*read_settings(__doc__ or "", *CLASSES, argv=argv))
    if settings.adapter.text_encoder and settings.captions.cache_text:
        raise UserError("--blocks names a text encoder, which --cache_text gives up: add --cache_text false")
    check_worn(settings.base)
    listing = check_garment_dir(settings.photos)
    folder = RunFolder(settings.run.output_dir or Path("runs") / listing.name)
    require_writable(folder.path)
    checkpoint = folder.checkpoint_to_resume(settings.run)

    with all_processes():
        train(settings, folder, checkpoint)


def train(settings: Settings, folder: RunFolder, checkpoint: Path | None) -> None:
    """Load, encode, learn, choose and export: the story of the run."""
    clock = Clock.from_launch()
    with clock.phase("imports"):
        quiet()
        from lapel.adapters.fuse import load_fused_base
        from lapel.adapters.targets import layer_sizes
        from lapel.report import keep_photos
        from lapel.training.launch import device, make_accelerator
        from lapel.training.loop import begin, learn
    with clock.phase("load"):
        base = load_fused_base(settings.base, device())
        layer_sizes(base.models, settings.adapter)  # refuses blocks that this base has not
        resumed_at = step_of(checkpoint) if checkpoint else 0
        settings.base.precision = base.precision  # what the machine settled is part of what repeats the run
        accelerator = make_accelerator(base.precision, folder, settings.run, resumed_at)
    with clock.phase("encode"):
        garment, lesson, evaluation = prepare(settings, base, accelerator, folder, clock)
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
        chosen = evaluation.choose()
        export(base, settings, garment, folder, clock, chosen)


def prepare(
    settings: Settings, base: Base, accelerator: Accelerator, folder: RunFolder, clock: Clock
) -> tuple[GarmentFolder, Lesson, Evaluation]:
    """Photos become latents and captions embeddings; the encoders' memory is given back; the adapter goes in."""
    from lapel.adapters.inject import inject
    from lapel.fidelity.models import load_models
    from lapel.training.checkpoint import trained_weights
    from lapel.training.data import Batches
    from lapel.training.encoding import cache_folder, content_name, encode_photos, text_of
    from lapel.training.evaluation import evaluation_of, photos_to_learn
    from lapel.training.loop import make_lesson
    from lapel.training.objective import Objective
    from lapel.training.predict import predictor

    objective = Objective(base.scheduler, settings.objective).to(base.device)
    cache_dir = cache_folder(settings.run.cache_dir)
    # The first process fills the caches, the others read them.
    with accelerator.main_process_first():
        resolution = settings.photos.resolution or base.resolution
        garment = read_garment(settings.photos, resolution, base.multiple, cache_dir, load_models(settings.photos))
        garment.require_sound()
        examples = encode_photos(base, photos_to_learn(garment, settings.choice), cache_dir, settings.photos)
        batches = Batches(
            examples,
            caption_dropout=settings.captions.caption_dropout,
            seed=settings.optimizer.seed,
            batch_size=settings.optimizer.batch_size,
            timesteps=objective.timesteps,
            photo_share=settings.photos.photo_share,
            device=base.device,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
        )
        text = text_of(base, batches.captions, settings.captions.cache_text, cache_dir)
    if settings.captions.cache_text:
        base.release_encoders()

    parameters = inject(base, settings.adapter, settings.optimizer.seed)
    weights = trained_weights(base)
    evaluation = evaluation_of(settings, base, garment, folder, weights, clock, accelerator.is_main_process)
    loss = denoising_loss(base, objective, predictor(base, text, accelerator))
    same = identity(settings, base, content_name(examples))
    lesson = make_lesson(
        accelerator, batches, loss, parameters, weights, settings.optimizer, same, choice=evaluation.choice
    )
    return garment, lesson, evaluation


def denoising_loss(base: Base, objective: Objective, predict: Predict) -> Callable[[Batch], Tensor]:
    """Latents are noised, the UNet predicts, and the objective compares (Ho et al. 2020; Rombach et al. 2022)."""
    import torch

    from lapel.adapters.inject import without_adapter

    def loss(batch: Batch) -> Tensor:
        noised = objective.noised(batch.latents, batch.noise, batch.timesteps)
        target, mask = objective.target(batch.latents, batch.noise, batch.timesteps), batch.mask
        if (dropped := batch.dropped).any():
            # Without a caption, the whole picture stays what the base makes of it.
            with without_adapter(base), torch.no_grad():
                own = predict(noised[dropped], batch.timesteps[dropped], batch.captions[dropped])
            target = target.index_put((dropped,), own)
            mask = torch.where(dropped[:, None, None, None], 1.0, mask)
        predicted = predict(noised, batch.timesteps, batch.captions)
        return objective.loss(predicted, target, batch.timesteps, mask)

    return loss


def export(
    base: Base, settings: Settings, garment: GarmentFolder, folder: RunFolder, clock: Clock, chosen: dict[str, Any]
) -> None:
    """Write the adapter for all front ends, prove that the files hold what was learned, and tell about the run."""
    from lapel.adapters.export import save_adapter
    from lapel.adapters.fuse import reload_fused_encoders
    from lapel.adapters.verify import reading_lines, verify_adapter
    from lapel.report import thumbnail, write_card, write_report, write_sidecars
    from lapel.training.evaluation import PHASES, choice_words

    with clock.phase("export"):
        resolution = settings.photos.resolution or base.resolution
        metadata = file_metadata(settings, garment, base, resolution, sum(clock.seconds.values()))
        preview = folder.preview(chosen.get("kept_step"))
        metadata["modelspec.thumbnail"] = thumbnail(preview, garment.photos[0]["image"])
        files = save_adapter(base, folder.path, file_name(garment.name), metadata)
        if not base.text_encoders:
            reload_fused_encoders(base, settings.base)
        proof = reading_lines(verify_adapter(base, files))
    with clock.phase("report"):
        card = write_card(folder.path, card_facts(settings, garment, base, files, clock.seconds, chosen))
        files += write_sidecars(folder.path, card, preview)
        report = write_report(folder.path)
    print("\n".join(["", *proof, ""]))
    print("\n".join(str(path) for path in (*files, report, folder.samples / "sheet.png") if path.is_file()))
    print(f"\n{choice_words(chosen)}time: {clock.words()}, {clock.share(*PHASES):.0%} of it to look and choose")


if __name__ == "__main__":
    run_program(main)

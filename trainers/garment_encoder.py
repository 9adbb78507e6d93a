"""Learn a garment encoder from many garments: accelerate launch trainers/garment_encoder.py --catalogue DIR

IP-Adapter (Ye et al. 2023) keeps the base frozen and gives its UNet a second cross-attention, to tokens of a photo. One
photo of a garment is cut out and shown, and the UNet learns to draw another one: flat to worn, front to back. First,
where the catalogue has descriptions, the tokens are aligned with them; then the photos alone teach. A garment that was
never seen is worn from its photo, without training.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.adapters.encoder_settings import EncoderSettings
from lapel.adapters.find import check_worn
from lapel.base.settings import BaseSettings
from lapel.errors import run_program
from lapel.files import require_writable
from lapel.photos.catalogue import Catalogue, CatalogueSettings, list_catalogue, read_catalogue
from lapel.quiet import quiet
from lapel.settings import read_settings
from lapel.training.clock import Clock
from lapel.training.encoder_facts import Settings, align_steps, card_facts, file_metadata, identity, start_table
from lapel.training.facts import file_name
from lapel.training.processes import all_processes
from lapel.training.run_folder import RunFolder, step_of
from lapel.training.run_settings import PlanSettings, RunSettings
from lapel.training.settings import ObjectiveSettings, OptimizerSettings, with_preset

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

    from lapel.base.base import Base
    from lapel.base.image_tower import Tower
    from lapel.training.align import Align
    from lapel.training.loop import Lesson
    from lapel.training.objective import Objective
    from lapel.training.pairs import PairBatch, PairBatches
    from lapel.training.predict import Predict

CLASSES = (
    *(CatalogueSettings, BaseSettings, EncoderSettings, ObjectiveSettings),
    *(OptimizerSettings, RunSettings, PlanSettings),
)


def main() -> None:
    """Refuse whatever is wrong before a heavy library is imported, then train, in as many processes as asked for."""
    argv = with_preset(sys.argv[1:], "tiny-encoder")
    settings = Settings(*read_settings(__doc__ or "", *CLASSES, argv=argv))
    check_worn(settings.base)
    list_catalogue(settings.catalogue)
    folder = RunFolder(settings.run.output_dir or Path("runs") / f"{settings.catalogue.name}-encoder")
    require_writable(folder.path)
    checkpoint = folder.checkpoint_to_resume(settings.run)

    with all_processes():
        train(settings, folder, checkpoint)


def train(settings: Settings, folder: RunFolder, checkpoint: Path | None) -> None:
    """Plan, load, encode, learn and export: the story of the run."""
    clock = Clock.from_launch()
    with clock.phase("imports"):
        quiet()
        from lapel.adapters.fuse import load_fused_base
        from lapel.base.image_tower import load_tower
        from lapel.training.launch import device, make_accelerator
        from lapel.training.loop import begin, learn
        from lapel.training.plan import encoder_recipe, plan_facts, plan_run
    with clock.phase("plan"):
        settings, plan = plan_run(settings, encoder_recipe(settings, pair_loss), device())
    with clock.phase("load"):
        base = load_fused_base(settings.base, device())
        base.require_ordinary()
        tower = load_tower(settings.encoder.image_tower, base, base.device)
        settings.base.precision = base.precision  # what the machine settled is part of what repeats the run
        accelerator = make_accelerator(base.precision, folder, settings.run, step_of(checkpoint) if checkpoint else 0)
    with clock.phase("encode"):
        catalogue, batches, lesson = prepare(settings, base, tower, accelerator)
    drawn = Drawn(settings, catalogue, batches, folder, base, clock)
    if accelerator.is_main_process:
        numbers, processes = lesson.trainable.count, accelerator.num_processes
        print(start_table(settings, catalogue, base, tower.name, numbers, processes, folder.path), flush=True)
    try:
        begin(lesson, settings, folder, checkpoint)
        learn(lesson, settings.optimizer, settings.run, folder, clock, drawn)
    finally:
        accelerator.end_training()
    if accelerator.is_main_process:
        export(base, settings, catalogue, tower.name, folder, clock, plan_facts(plan))


def prepare(
    settings: Settings, base: Base, tower: Tower, accelerator: Accelerator
) -> tuple[Catalogue, PairBatches, Lesson]:
    """Photos become latents, cutouts features, captions embeddings; the encoders go; the garment encoder goes in."""
    from lapel.adapters.encoder import inject_encoder
    from lapel.adapters.ip_adapter import read_encoder, start_encoder
    from lapel.training.align import aligner
    from lapel.training.checkpoint import trained_weights
    from lapel.training.encoding import cache_folder, encode_cutouts, encode_latents, mapped_text
    from lapel.training.loop import make_lesson
    from lapel.training.objective import Objective
    from lapel.training.optimizer import Trainable
    from lapel.training.pairs import Dropouts, PairBatches
    from lapel.training.predict import predictor

    objective = Objective(base.scheduler, settings.objective).to(base.device)
    cache_dir, encoder = cache_folder(settings.run.cache_dir), settings.encoder
    start = read_encoder(encoder.start_from) if encoder.start_from else None
    # The first process fills the caches, the others read them.
    with accelerator.main_process_first():
        resolution = settings.catalogue.resolution or base.resolution
        catalogue = read_catalogue(settings.catalogue, resolution, base.multiple, cache_dir)
        latents = encode_latents(base, catalogue.photos, cache_dir)
        features = encode_cutouts(tower, catalogue.photos, encoder.tokens, cache_dir)
        batches = PairBatches(
            catalogue,
            latents,
            features,
            tower.nothing(encoder.tokens),
            Dropouts(encoder.image_dropout, encoder.text_dropout, encoder.both_dropout),
            align_steps(settings, catalogue),
            seed=settings.optimizer.seed,
            batch_size=settings.optimizer.batch_size,
            timesteps=objective.timesteps,
            device=base.device,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
        )
        text = mapped_text(base, batches.captions, cache_dir)
    base.release_encoders()
    tower.release()

    parameters = inject_encoder(base, encoder.form, batches.width, settings.optimizer.seed)
    if start is not None:
        start_encoder(base, start, encoder.form, batches.width)
    predict = predictor(base, text, accelerator, encoder.compile)
    loss = pair_loss(objective, predict, aligner(base, text, accelerator))
    same = identity(settings, base, tower.name, batches)
    trainable, weights = Trainable(parameters), trained_weights(base)
    lesson = make_lesson(accelerator, batches, loss, trainable, weights, settings.optimizer, same)
    return catalogue, batches, lesson


def pair_loss(objective: Objective, predict: Predict, align: Align) -> Callable[[PairBatch], Tensor]:
    """Latents of one photo are noised, the UNet predicts from the other one, and the objective compares; in the first
    steps, the UNet's answers to a description are the example instead."""

    def loss(batch: PairBatch) -> Tensor:
        noised = objective.noised(batch.latents, batch.noise, batch.timesteps)
        if batch.aligning:
            return align(noised, batch)
        predicted = predict(noised, batch.timesteps, batch.captions, batch.features)
        target = objective.target(batch.latents, batch.noise, batch.timesteps)
        return objective.loss(predicted, target, batch.timesteps, batch.mask)

    return loss


class Drawn:
    """The contact sheet: every prompt for some garments of the catalogue, each from its first photo."""

    enough = False
    """A catalogue has no end of what is to be learned: the run goes to its last step."""

    def __init__(
        self,
        settings: Settings,
        catalogue: Catalogue,
        batches: PairBatches,
        folder: RunFolder,
        base: Base,
        clock: Clock,
    ) -> None:
        from lapel.generation import GarmentPhotos
        from lapel.training.samples import PhotoSamples

        shown = [
            (catalogue.photos[row]["class_word"], GarmentPhotos(batches.features_of([row]), batches.nothing))
            for row in catalogue.first_photos(settings.encoder.sample_garments)
        ]
        side = settings.catalogue.resolution or base.resolution
        self.samples = PhotoSamples(folder.samples, settings.run, shown, side)
        self.base, self.settings, self.clock = base, settings, clock

    def at(self, step: int) -> dict[str, float]:
        """Draw the row of a step; nothing is measured."""
        import torch

        from lapel.base.base import UNCACHED
        from lapel.training.samples import drawing

        base = self.base
        # The encoder is kept in fp32, whatever the base's precision.
        mixed = torch.autocast(base.device.type, base.dtype, enabled=base.dtype != torch.float32, **UNCACHED)
        with self.clock.phase("sample"), drawing(base, self.settings.base) as pipeline, mixed:
            self.samples.draw(pipeline, step)
        return {}


def export(
    base: Base,
    settings: Settings,
    catalogue: Catalogue,
    tower: str,
    folder: RunFolder,
    clock: Clock,
    planned: dict[str, Any],
) -> None:
    """Write the encoder for all front ends, prove that the files hold what was learned, and tell about the run."""
    from lapel.adapters.ip_adapter import encoder_file_name, save_encoder
    from lapel.adapters.verify_encoder import encoder_lines, verify_encoder
    from lapel.report import write_encoder_card

    with clock.phase("export"):
        stem = encoder_file_name(file_name(catalogue.name), settings.encoder.form, base.family.name)
        files = save_encoder(base, folder.path, stem, file_metadata(settings, tower))
        proof = encoder_lines(verify_encoder(base, files))
    with clock.phase("report"):
        write_encoder_card(folder.path, card_facts(settings, catalogue, base, tower, files, clock.seconds, planned))
    print("\n".join(["", *proof, ""]))
    print("\n".join(str(path) for path in (*files, folder.samples / "sheet.png") if path.is_file()))
    print(f"\ntime: {clock.words()}")


if __name__ == "__main__":
    run_program(main)

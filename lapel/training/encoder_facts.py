"""What a garment encoder's run says about itself: the table at its start, its files' headers, the facts of its card."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.memory import peak_memory
from lapel.training.facts import (
    AllSettings,
    base_facts,
    base_identity,
    base_row,
    counted,
    step_rows,
    table_lines,
)

if TYPE_CHECKING:
    from lapel.adapters.encoder_settings import EncoderSettings
    from lapel.base.base import Base
    from lapel.base.settings import BaseSettings
    from lapel.photos.catalogue import Catalogue, CatalogueSettings
    from lapel.training.pairs import PairBatches
    from lapel.training.run_settings import PlanSettings, RunSettings
    from lapel.training.settings import ObjectiveSettings, OptimizerSettings


@dataclasses.dataclass
class Settings(AllSettings):
    """All the settings of a garment encoder's training, in the order of its `CLASSES`."""

    catalogue: CatalogueSettings
    base: BaseSettings
    encoder: EncoderSettings
    objective: ObjectiveSettings
    optimizer: OptimizerSettings
    run: RunSettings
    plan: PlanSettings


def align_steps(settings: Settings, catalogue: Catalogue) -> int:
    """How many steps, the first ones, learn from descriptions: none where the captions are those themselves."""
    return round(settings.encoder.align * settings.optimizer.steps) if catalogue.descriptions else 0


def start_table(
    settings: Settings, catalogue: Catalogue, base: Base, tower: str, numbers: int, processes: int, run_folder: Path
) -> str:
    """The settings that a run goes by, defaults included, a line each; `numbers` is how many are trained."""
    photos, encoder, aligned = catalogue.photos, settings.encoder, align_steps(settings, catalogue)
    dropped = f"photo {encoder.image_dropout:g}, caption {encoder.text_dropout:g}, both {encoder.both_dropout:g}"
    rows = {
        "catalogue": f"{catalogue.name}: {catalogue.garments} garments, {len(photos)} photos",
        "views": counted(view or "unknown" for view in photos["view"]),
        "masks from": counted(photos["mask_source"]),
        "captions": f"{settings.catalogue.captions}, as in '{photos[len(photos) - 1]['caption']}'",
        "base": base_row(base),
        "image tower": tower,
        "encoder": f"{encoder.form}: {numbers:,} numbers",
        "aligned": f"in the first {aligned} steps, with {catalogue.descriptions} descriptions" if aligned else "no",
        "left out": dropped,
        **step_rows(settings.objective, settings.optimizer, base, processes),
        "run folder": str(run_folder),
    }
    return "\n".join(table_lines(rows))


def file_metadata(settings: Settings, tower: str) -> dict[str, str]:
    """Fields of the file's header: what `inference/generate.py` must know to wear the encoder."""
    return {
        "lapel_image_tower": tower,
        "lapel_captions": settings.catalogue.captions,
        "lapel_steps": str(settings.optimizer.steps),
    }


def card_facts(
    settings: Settings,
    catalogue: Catalogue,
    base: Base,
    tower: str,
    files: Sequence[Path],
    seconds: Mapping[str, float],
    planned: Mapping[str, Any],
) -> dict[str, Any]:
    """The facts that `lapel.report.write_encoder_card` takes; `planned` is what the plan adds."""
    photos = catalogue.photos
    return {
        "kind": "garment encoder",
        "name": files[0].stem,
        **base_facts(base),
        "form": settings.encoder.form,
        "image_tower": tower,
        "garments": catalogue.garments,
        "photos": len(photos),
        "views": dict(Counter(view for view in photos["view"] if view)),
        "class_words": sorted(set(photos["class_word"])),
        "steps": settings.optimizer.steps,
        "settings": settings.flat(),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "peak_memory": peak_memory(str(base.device)),
        "files": [path.name for path in files],
        **planned,
    }


def identity(settings: Settings, base: Base, tower: str, batches: PairBatches) -> dict[str, str]:
    """What must be the same for a checkpoint to go on."""
    return {
        "base": base_identity(base),
        "encoder": f"{settings.encoder.form} for {tower}",
        "optimizer": settings.optimizer.optimizer,
        "seed": str(settings.optimizer.seed),
        "aligned steps": str(batches.align_steps),
        "catalogue": batches.name,
    }

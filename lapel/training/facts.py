"""What a run says about itself: the table at its start, the header of its files, the facts of its card."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.adapters.settings import quantisable
from lapel.base.find import SHIPPED
from lapel.errors import UserError
from lapel.memory import peak_memory

if TYPE_CHECKING:
    from lapel.adapters.settings import AdapterSettings
    from lapel.base.base import Base
    from lapel.base.settings import BaseSettings
    from lapel.photos import GarmentFolder, PhotoSettings
    from lapel.training.run_settings import ChoiceSettings, PlanSettings, RunSettings, StrengthSettings
    from lapel.training.settings import (
        CaptionSettings,
        GarmentObjectiveSettings,
        InversionSettings,
        LoraObjectiveSettings,
        ObjectiveSettings,
        OptimizerSettings,
    )


@dataclasses.dataclass
class AllSettings:
    """The settings of a training: a dataclass of dataclasses, one a concern, some of which every training has."""

    if TYPE_CHECKING:
        base: BaseSettings
        objective: ObjectiveSettings
        optimizer: OptimizerSettings
        run: RunSettings
        plan: PlanSettings

    def each(self) -> tuple[Any, ...]:
        """The dataclasses, in order."""
        return tuple(getattr(self, field.name) for field in dataclasses.fields(self))

    def flat(self) -> dict[str, Any]:
        """Every setting by its flag's name, as JSON can say it."""
        pairs = {name: value for part in self.each() for name, value in dataclasses.asdict(part).items()}
        return {name: value.as_posix() if isinstance(value, Path) else value for name, value in pairs.items()}


@dataclasses.dataclass
class GarmentSettings(AllSettings, ABC):
    """The settings that every training of one garment has, in this order."""

    photos: PhotoSettings
    base: BaseSettings
    objective: GarmentObjectiveSettings
    captions: CaptionSettings
    optimizer: OptimizerSettings
    run: RunSettings
    choice: ChoiceSettings
    inversion: InversionSettings

    @property
    @abstractmethod
    def learned(self) -> str:
        """Everything that decides what of the base changes, in a line."""


@dataclasses.dataclass
class Settings(GarmentSettings):
    """All the settings of a LoRA training, in the order of its `CLASSES`."""

    objective: LoraObjectiveSettings
    adapter: AdapterSettings
    strength: StrengthSettings
    plan: PlanSettings

    def __post_init__(self) -> None:
        """Refuse what no single one of them can see.

        Raises:
            UserError: text encoders that learn and are given up, or frozen weights that the adapter cannot lie on.
        """
        findings = []
        if self.adapter.text_encoder and self.captions.cache_text:
            findings.append("--blocks names a text encoder, which --cache_text gives up: add --cache_text false")
        if self.adapter.text_encoder and self.base.offload_text:
            findings.append("--blocks names a text encoder, which --offload_text keeps from the GPU: leave one out")
        if self.base.frozen_weights not in (known := quantisable(self.adapter.kind)):
            findings.append(
                f"--frozen_weights {self.base.frozen_weights}: peft has no {self.adapter.kind} on such layers; take "
                f"{' or '.join(known)}"
            )
        if findings:
            raise UserError(*findings)

    @property
    def learned(self) -> str:
        return self.adapter.words


def start_table(
    settings: GarmentSettings,
    garment: GarmentFolder,
    base: Base,
    numbers: int,
    processes: int,
    run_folder: Path,
    kept: str,
) -> str:
    """The settings that a run goes by, defaults included, a line each.

    `numbers` is how many are trained, `kept` says in words which step is exported.
    """
    masks = Counter(garment.photos["mask_source"])
    sizes = Counter(zip(garment.photos["width"], garment.photos["height"], strict=True))
    rows = {
        "garment": f"{garment.name}, called '{garment.trigger} {garment.class_word}' in prompts",
        "photos": f"{len(garment.photos)} at {counted(f'{w} x {h}' for w, h in sizes.elements())}",
        "masks from": counted(masks.elements()),
        "base": base_row(base),
        "adapter": f"{settings.learned}: {numbers:,} numbers",
        **settings.inversion.rows,
        **step_rows(settings.objective, settings.optimizer, base, processes),
        "keeps": kept,
        "run folder": str(run_folder),
    }
    return "\n".join([*table_lines(rows), *(f"  {finding.line()}" for finding in garment.findings)])


def base_row(base: Base) -> str:
    """The base in a table of a run's start."""
    row = f"{base.name} ({base.family.title}), {str(base.dtype).removeprefix('torch.')} on {base.device}"
    if added := wearing(base):
        row += f", wearing {added}"
    return row + (f"\n{' ' * 14}tiny is for trying out: give a real model with --base" if base.name in SHIPPED else "")


def step_rows(objective: ObjectiveSettings, optimizer: OptimizerSettings, base: Base, processes: int) -> dict[str, str]:
    """How a step learns, in the table of a run's start."""
    where = f"masked, {objective.outside_weight:g} outside" if objective.masked else "not masked"
    where += ", where it stays the base's" if objective.keeps_surroundings else ""
    weighting = f"min-SNR {objective.min_snr_gamma:g}" if objective.min_snr_gamma else "unweighted"
    return {
        "loss": f"{base.prediction_type}, {weighting}, {where}",
        "steps": f"{optimizer.steps} of {optimizer.batch_size * optimizer.gradient_accumulation * processes} photos",
        "optimizer": f"{optimizer.optimizer}, rate {optimizer.learning_rate:g}, {optimizer.schedule}",
    }


def table_lines(rows: Mapping[str, str]) -> list[str]:
    """The table of a run's start, a line a row."""
    return [f"  {name:<12}{text}" for name, text in rows.items()]


def counted(items: Any) -> str:
    counts = Counter(items)
    return ", ".join(f"{count} x {item}" if len(counts) > 1 else str(item) for item, count in counts.most_common())


def wearing(base: Base) -> str:
    """The adapters that are fused into a base, and the textual inversions that it was taught, in words."""
    words = (f"the word {word} ({digest[:12]})" for word, digest in base.embeddings.items())
    return ", ".join([*map(str, base.worn), *words])


def file_name(garment: str) -> str:
    """The garment's name without what WebUI's `<lora:NAME:WEIGHT>` and file systems give a meaning to."""
    return re.sub(r'[<>:"/\\|?*,\s]+', "-", garment).strip("-.") or "garment"


def file_metadata(
    settings: GarmentSettings, garment: GarmentFolder, base: Base, seconds: float, chosen: Mapping[str, Any]
) -> dict[str, str]:
    """Fields of the exported files' headers, as kohya's trainer names them, which front ends show.

    `seconds` is how long the run took, `chosen` what the evaluation adds to the card.
    """
    resolution = settings.photos.resolution or base.resolution
    finished = time.time()
    optimizer, photos = settings.optimizer, garment.photos
    words = f"{garment.trigger} {garment.class_word}"
    captions = Counter(photos["caption"])
    sizes = Counter(zip(photos["width"], photos["height"], strict=True))
    buckets = {
        str(number): {"resolution": list(size), "count": count} for number, (size, count) in enumerate(sizes.items())
    }
    return {
        "ss_resolution": f"({resolution}, {resolution})",
        "ss_num_train_images": str(len(photos)),
        "ss_num_reg_images": "0",
        "ss_bucket_info": json.dumps({"buckets": buckets}),
        "ss_dataset_dirs": json.dumps({garment.name: {"n_repeats": 1, "img_count": len(photos)}}),
        "ss_tag_frequency": json.dumps({garment.name: dict(captions)}),
        "ss_steps": str(chosen.get("kept_step", optimizer.steps)),
        "ss_max_train_steps": str(optimizer.steps),
        "ss_learning_rate": f"{optimizer.learning_rate:g}",
        "ss_unet_lr": f"{optimizer.learning_rate:g}",
        "ss_optimizer": optimizer.optimizer,
        "ss_lr_scheduler": optimizer.schedule,
        "ss_batch_size_per_device": str(optimizer.batch_size),
        "ss_gradient_accumulation_steps": str(optimizer.gradient_accumulation),
        "ss_min_snr_gamma": str(settings.objective.min_snr_gamma),
        **({"ss_training_comment": comment} if (comment := _comment(settings, base)) else {}),
        "ss_caption_dropout_rate": f"{settings.captions.caption_dropout:g}",
        "ss_seed": str(optimizer.seed),
        "ss_training_started_at": f"{finished - seconds:.3f}",
        "ss_training_finished_at": f"{finished:.3f}",
        "modelspec.resolution": f"{resolution}x{resolution}",
        "modelspec.trigger_phrase": words,
    }


def card_facts(
    settings: GarmentSettings,
    garment: GarmentFolder,
    base: Base,
    files: Sequence[Path],
    seconds: dict[str, float],
    chosen: dict[str, Any],
) -> dict[str, Any]:
    """The facts that `lapel.report.write_card` takes; `chosen` is what the evaluation adds."""
    return {
        "name": files[0].stem,
        "trigger": garment.trigger,
        "class_word": garment.class_word,
        "attributes": garment.attributes,
        **base_facts(base),
        "views": sorted({view for view in garment.photos["view"] if view}),
        "photos": len(garment.photos),
        "steps": settings.optimizer.steps,
        "settings": settings.flat(),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "peak_memory": peak_memory(str(base.device)),
        "files": [path.name for path in files],
        **chosen,
    }


def base_facts(base: Base) -> dict[str, Any]:
    """What a card says of the base."""
    return {
        "base": base.name,
        "base_hash": base.hash,
        "base_short_hash": base.hash[:10],
        "base_content_hash": base.content_hash,
        "base_licence": base.licence,
        "family": base.family.name,
        "prediction_type": base.prediction_type,
        "zero_terminal_snr": base.zero_terminal_snr,
        "clip_skip": base.clip_skip,
        "vae": base.vae_name,
        "embeddings": base.embeddings,
        "worn": [dataclasses.asdict(worn) for worn in base.worn],
    }


def base_identity(base: Base) -> str:
    """The base as a run that resumes must find it again."""
    own = f"{base.name} ({base.hash[:12]}), clip skip {base.clip_skip}, VAE {base.vae_name or 'of its own'}"
    return f"{own}, wearing {wearing(base) or 'nothing'}"


def _comment(settings: GarmentSettings, base: Base) -> str:
    """What kohya's fields have no place for."""
    worn, share = wearing(base), settings.captions.class_share
    return ", ".join([f"on a base that wears {worn}"] * bool(worn) + [f"class share {share:g}"] * bool(share))


def identity(settings: GarmentSettings, base: Base, seen: str) -> dict[str, str]:
    """What must be the same for a checkpoint to go on: `seen` names the photos' content."""
    optimizer = settings.optimizer
    return {
        "base": base_identity(base),
        "adapter": settings.learned,
        "optimizer": optimizer.optimizer,
        "seed": str(optimizer.seed),
        "photos": f"{seen}, {settings.photos.photo_share:g} of them as they are",
        "captions": settings.captions.words,
        "keep": settings.choice.keep,
        "tower": settings.choice.tower or "the base's own",
    }

"""Ways to draw one garment, by name: what each trains, what it wears, and what the garment is then called."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.learning import card_of, load_worn
from evaluation.stamps import stamp
from evaluation.trials import PROGRAMS, Training
from evaluation.tuning import costs
from lapel.base.find import encoder_file
from lapel.errors import UserError
from lapel.photos import PhotoSettings
from lapel.photos.folder import list_garment

if TYPE_CHECKING:
    from evaluation.cases import Case
    from lapel.base.base import Base
    from lapel.generation import GarmentPhotos


@dataclass(frozen=True)
class Method:
    """A way to draw a garment: after a training, or by a garment encoder; by neither, the base's own or real photos."""

    name: str
    """Of the row's file."""
    title: str
    """Of the row."""
    training: Training | None = None
    encoder: Path | None = None
    """Worn alone, shown one photo."""
    is_real: bool = False
    """Real photos, which a perfect method would equal."""

    def with_settings(self, *settings: str) -> Method:
        """The same with other trainings, where it trains: see `Training.with_settings`."""
        if self.training is None or not settings:
            return self
        training = self.training.with_settings(*settings)
        return Method(training.name, self.title, training)

    @property
    def is_of_tiny(self) -> bool:
        """Whether it takes the garment encoder that lapel ships, which is one for `tiny`."""
        begins = self.training is not None and "start_from_encoder=tiny" in self.training.settings
        return begins or self.encoder == Path("tiny")

    @property
    def identity(self) -> dict[str, str]:
        """What its figures depend on beside the exam and, where it trains, the settings of the training."""
        told = {} if self.training is None else {"training": self.training.text}
        encoder = self.encoder if self.training is None else self.training.settled.get("start_from_encoder")
        return {**told, "encoder": stamp(encoder_file(Path(encoder)))} if encoder else told


def _trained(title: str, text: str) -> Method:
    training = Training.of(text)
    return Method(training.name, title, training)


def registry() -> dict[str, Method]:
    """The methods of the benchmark by name, in the order of its table."""
    return {
        "base": Method("base", "base, full caption"),
        "lora-4": _trained("LoRA, rank 4", "lora:rank=4"),
        "lora-16": _trained("LoRA, rank 16", "lora:rank=16"),
        "lora-64": _trained("LoRA, rank 64", "lora:rank=64"),
        "dora": _trained("DoRA", "lora:kind=dora"),
        "locon": _trained("LoCon", "lora:convolutions=true"),
        "dreambooth": _trained("DreamBooth", "dreambooth"),
        "encoder": Method("encoder", "garment encoder, one photo", encoder=Path("tiny")),
        "encoder-lora": _trained("garment encoder with LoRA", "lora:start_from_encoder=tiny"),
        "oracle": Method("oracle", "real photos", is_real=True),
    }


def method_named(text: str) -> Method:
    """A method of the registry, or a new one: `lora:kind=rslora,rank=8`, `dreambooth:prior=none`, `encoder:FILE`.

    Raises:
        UserError: no such method.
    """
    known = registry()
    if text in known:
        return known[text]
    kind, _, rest = text.partition(":")
    if kind == "encoder" and rest:
        if not Path(rest).is_file():
            raise UserError(f"--methods {text}: no such file; give a garment encoder's .safetensors or .bin file")
        name = f"encoder-{Path(rest).stem}-{stamp(Path(rest))[:6]}"
        return Method(name, f"garment encoder {Path(rest).stem}", encoder=Path(rest))
    if kind in PROGRAMS and (rest or kind == "lora"):
        training = Training.of(text)
        same = next((method for method in known.values() if method.training == training), None)
        return same or Method(training.name, training.text, training)
    near = difflib.get_close_matches(text, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UserError(
        f"--methods {text}: no such method; {hint}known are {', '.join(known)}, and new ones such as "
        "lora:kind=rslora,rank=8 or encoder:FILE"
    )


@dataclass(frozen=True)
class Worn:
    """A pipeline that draws the garment."""

    base: Base
    pipeline: Any
    """Of the base's parts."""
    words: str
    """What the garment is called in prompts, without its article."""
    photos: GarmentPhotos | None = None
    """What an encoder is shown of it."""
    costs: Mapping[str, Any] | None = None
    """`seconds`, `memory` and `bytes`, as far as there are any."""

    @property
    def unasked(self) -> GarmentPhotos | None:
        """What an encoder is shown where the garment is not asked for: nothing."""
        from lapel.generation import GarmentPhotos

        if self.photos is None:
            return None
        return GarmentPhotos(self.photos.nothing.expand_as(self.photos.features), self.photos.nothing)


def wear(method: Method, case: Case, garment_dir: Path, run: Path | None, base: str) -> Worn:
    """The pipeline of a method for one garment.

    Args:
        garment_dir: the garment's photos.
        run: of the method's training, where it has one.
        base: that of methods which train nothing.
    """
    if run is not None:
        card = card_of(run)
        (loaded, pipeline), started = load_worn(card, run), card.get("encoder")
        photos = None
        if started:
            photo = garment_dir / started["photo"]
            photos = _show(pipeline, loaded, Path(started["name"]), photo, case.class_word)
        return Worn(loaded, pipeline, f"{card['trigger']} {card['class_word']}", photos, costs(run, card))
    loaded, pipeline = load_worn({"base": base}, None)
    if method.encoder is None:
        return Worn(loaded, pipeline, case.words)
    listed = list_garment(PhotoSettings(garment_dir=garment_dir)).photos
    first = next((photo.path for photo in listed if photo.view != "detail"), listed[0].path)
    photos = _show(pipeline, loaded, method.encoder, first, case.class_word)
    size = encoder_file(method.encoder).stat().st_size
    return Worn(loaded, pipeline, case.class_word, photos, {"bytes": size})


def _show(pipeline: Any, base: Base, encoder: Path, photo: Path, class_word: str) -> GarmentPhotos:
    """Put an encoder into the pipeline, and give what it sees in the photo."""
    from lapel.adapters.ip_adapter import read_encoder, wear_encoder
    from lapel.base.image_tower import load_tower
    from lapel.generation.shown import see_photos

    file = read_encoder(encoder)
    tower = load_tower(file.metadata.get("lapel_image_tower"), base)
    photos = see_photos(tower, [photo], file.form == "plus", class_word)
    wear_encoder(pipeline, file, 1.0)
    return photos

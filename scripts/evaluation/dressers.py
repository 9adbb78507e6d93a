"""Ways to dress a person of the wardrobe: what each is told, shown or has learned of the garment, and on which base."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evaluation.trials import Training, garment_folder, train
from evaluation.wearers import Masks, Subject, change_for, flat_mask, wearer_of, worn
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.generation import PictureSettings

if TYPE_CHECKING:
    from PIL import Image

    from lapel.generation import GarmentPhotos
    from lapel.generation.control import Control
    from lapel.generation.patch import Alpha
    from lapel.wardrobe import Garment

Told = Literal["caption", "kind"]
Shown = Literal["", "skeleton", "map"]


@dataclass(frozen=True)
class Method:
    """A way to dress somebody."""

    title: str
    base: str = "tiny"
    told: Told = "kind"
    """What words say of the garment: all, or its kind and sleeves; of an adapter, its trigger and kind."""
    encoder: bool = False
    """Whether a garment encoder is shown one flat photo."""
    training: str = ""
    """Of the adapter that is worn, as `Training.of` reads it."""
    shown: Shown = ""
    """To a ControlNet: nothing, the person's skeleton, or that on a parsing map of who wears the new garment."""
    sketched: bool = False
    """Whether denoising begins with a sketch, for which a flat photo is laid on the person."""
    parsed: bool = True
    """Whether the person's parsing map is known, beside the pose."""


INPAINTING = "tiny-inpainting"
ON_IT = f"lora:config=tiny,base={INPAINTING}"

METHODS = {
    "caption": Method("full caption", told="caption"),
    "encoder": Method("encoder", encoder=True),
    "encoder-skeleton": Method("encoder, skeleton", encoder=True, shown="skeleton"),
    "encoder-map": Method("encoder, map", encoder=True, shown="map"),
    "inpainting-caption": Method("inpainting base: full caption", INPAINTING, told="caption"),
    "inpainting-encoder": Method("inpainting base: encoder", INPAINTING, encoder=True),
    "inpainting-encoder-map": Method("inpainting base: encoder, map", INPAINTING, encoder=True, shown="map"),
    "inpainting-encoder-sketch": Method(
        "inpainting base: encoder, map, sketch", INPAINTING, encoder=True, shown="map", sketched=True
    ),
    "lora": Method("inpainting base: LoRA learned on tiny, map", INPAINTING, training="lora", shown="map"),
    "lora-sketch": Method(
        "inpainting base: LoRA learned on tiny, map, sketch",
        INPAINTING,
        training="lora",
        shown="map",
        sketched=True,
    ),
    "lora-pose": Method(
        "inpainting base: LoRA learned on tiny, sketch by the pose alone",
        INPAINTING,
        training="lora",
        sketched=True,
        parsed=False,
    ),
    "lora-pose-map": Method(
        "inpainting base: LoRA learned on tiny, map and sketch by the pose alone",
        INPAINTING,
        training="lora",
        shown="map",
        sketched=True,
        parsed=False,
    ),
    "lora-inpainting": Method("inpainting base: LoRA learned on it, map", INPAINTING, training=ON_IT, shown="map"),
    "lora-encoder": Method(
        "inpainting base: LoRA learned on it and encoder, map",
        INPAINTING,
        encoder=True,
        training=f"{ON_IT},start_from_encoder=tiny",
        shown="map",
    ),
    "lora-encoder-sketch": Method(
        "inpainting base: LoRA learned on it and encoder, map, sketch",
        INPAINTING,
        encoder=True,
        training=f"{ON_IT},start_from_encoder=tiny",
        shown="map",
        sketched=True,
    ),
}
"""By the names that settings have for them, in the table's order."""


def require_methods(flag: str, names: Sequence[str]) -> None:
    """Refuse methods that nobody knows.

    Raises:
        UserError: such names, a line each.
    """
    findings = []
    for name in names:
        if name not in METHODS:
            near = difflib.get_close_matches(name, METHODS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(METHODS)}"
            findings.append(f"{flag} {name}: no such method; {hint}")
    if findings:
        raise UserError(*findings)


@dataclass
class DresserSettings:
    """How somebody is dressed, whatever is measured then."""

    trials_dir: Path = Path("runs/trials")
    """Takes the garments' photos and the trainings of methods that wear adapters, which other measurements share."""

    garments: int = 5
    """Which they are dressed in, in turn."""

    encoder: Path = Path("tiny")
    """A garment encoder for `tiny`."""

    steps: int = 30
    """Denoising steps."""

    guidance: float = 4.0
    """Classifier-free guidance."""


class Dresser:
    """Dresses the subjects by one method after the other.

    Args:
        folders: of garments whose photos lie in one; of others they are taken when an adapter is to learn them.
    """

    def __init__(
        self, subjects: Sequence[Subject], settings: DresserSettings, folders: Mapping[Garment, Path] | None = None
    ) -> None:
        self.subjects, self.settings, self.folders = subjects, settings, folders or {}
        self.changes = {parsed: [change_for(one, parsed) for one in subjects] for parsed in (True, False)}

    def dress(self, method: Method) -> tuple[list[Image.Image], Masks]:
        """An image of each subject, and where it was allowed to draw."""
        from tqdm import tqdm

        images, masks = {}, {}
        with tqdm(total=len(self.subjects), desc=method.title, unit="person", mininterval=1) as progress:
            for garment in dict.fromkeys(one.garment for one in self.subjects):
                worn = self._put_on(method, garment)
                for number, one in enumerate(self.subjects):
                    if one.garment == garment:
                        images[number], masks[number] = self._draw(number, method, *worn)
                        progress.update()
        numbers = range(len(self.subjects))
        return [images[number] for number in numbers], [masks[number] for number in numbers]

    def _put_on(self, method: Method, garment: Garment) -> tuple[Any, Any, str, GarmentPhotos | None, Any]:
        """The base, its pipeline in the garment, what that is called, what the encoder is shown, and the ControlNet."""
        from evaluation.learning import card_of
        from lapel.adapters.card import KOHYA_SUFFIX, weight_of
        from lapel.adapters.ip_adapter import read_encoder, wear_encoder
        from lapel.adapters.wear import wear
        from lapel.base.load import load_base
        from lapel.generation.control import load_controlnet

        trials = self.settings.trials_dir
        words = garment.words() if method.told == "caption" else worn(garment).named()
        base = load_base(BaseSettings(base=method.base))
        pipeline, photos = base.pipeline("inpaint"), None
        if method.training:
            folder = self.folders.get(garment) or garment_folder(garment, trials / "photos")
            run = train(Training.of(method.training), folder, trials)
            card = card_of(run)
            words = f"{card['trigger']} {card['class_word']}"
            wear(pipeline, [(run / f"{card['name']}{KOHYA_SUFFIX}", weight_of(card))])
        if method.encoder:
            file = read_encoder(self.settings.encoder)
            photos = _seen(file, base, next(one for one in self.subjects if one.garment == garment))
            wear_encoder(pipeline, file, 1.0)
        network = load_controlnet("tiny", base) if method.shown else None
        return base, pipeline, words, photos, network

    def _draw(
        self,
        number: int,
        method: Method,
        base: Any,
        pipeline: Any,
        words: str,
        photos: GarmentPhotos | None,
        network: Any,
    ) -> tuple[Image.Image, Any]:
        from PIL import Image

        from lapel.generation.inpaint import InpaintSettings, inpaint
        from lapel.wardrobe import phrase

        one = self.subjects[number]
        how = InpaintSettings(masked_content="sketch" if method.sketched else "original", mask_feather=4)
        prompt = phrase(words, "worn", one.scene)
        picture = PictureSettings(
            prompt=prompt, steps=self.settings.steps, guidance=self.settings.guidance, seeds=[number]
        )
        change = self.changes[method.parsed][number]
        controls = [self._control(number, method, network)] if network is not None else []
        photo = Image.fromarray(one.before.image)
        alpha = how.alpha(change.mask, change.kept)
        sketch = self._sketch(number, method, alpha) if method.sketched else None
        parts = (None, photos, controls, change.kept)
        (image,) = inpaint(base, pipeline, picture, photo, change.mask, how, *parts, sketch=sketch)
        return image, alpha > 0

    def _sketch(self, number: int, method: Method, alpha: Alpha) -> Image.Image:
        """The sketch of a subject, as `try_on.py` makes it."""
        from lapel.generation.sketch import sketch_change

        one = self.subjects[number]
        return sketch_change(wearer_of(one, method.parsed), alpha, worn(one.garment), (one.flat, flat_mask(one)))

    def _control(self, number: int, method: Method, network: Any) -> Control:
        """What a subject's ControlNet is shown, as `try_on.py` shows it."""
        from lapel.generation.control import control_by_pose
        from lapel.generation.parsed import make_parsed
        from lapel.photos.people.looks import Looks

        one = self.subjects[number]
        if method.shown == "skeleton":
            return control_by_pose(network, one.pose)
        made = make_parsed(Path("person.json"), one.pose, Looks.of(worn(one.garment)))
        before = one.before.parsing if method.parsed else None
        return control_by_pose(network, one.pose, made, before, self.changes[method.parsed][number].mask)


def _seen(file: Any, base: Any, one: Subject) -> GarmentPhotos:
    """What the encoder is shown of a garment: cut out as for a user's photo."""
    from lapel.base.image_tower import load_tower
    from lapel.generation.shown import see_cutouts
    from lapel.photos.cutout import cut_out

    tower = load_tower(file.metadata.get("lapel_image_tower"), base)
    return see_cutouts(tower, [cut_out(one.flat, flat_mask(one))], file.form == "plus")

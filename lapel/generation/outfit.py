"""What is worn together on one base: adapters and a garment encoder, with what their cards tell of them."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.adapters.card import Card, read_base_card, read_card, read_encoder_facts, weight_of, word_file
from lapel.base.emphasis import escaped
from lapel.base.find import check_base
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.files import sha256
from lapel.generation.wearing import WearSettings
from lapel.photos.captions import class_word_of, class_word_told, filled
from lapel.photos.vocabulary import ATTRIBUTES, attributes_of

if TYPE_CHECKING:
    from lapel.base.base import Base, PipelineKind
    from lapel.generation.denoise import GarmentPhotos
    from lapel.generation.regions import Regions


@dataclass(frozen=True)
class Outfit:
    """The settings made whole by the cards; the first card names trigger, class word and base."""

    settings: WearSettings
    files: tuple[Path, ...]
    """The adapters, then the encoder; of a fine-tuned checkpoint, itself."""
    cards: tuple[Card, ...]
    """One for each file."""
    weights: tuple[float, ...]
    """One for each adapter."""
    base: BaseSettings

    def named(self, prompt: str) -> str:
        """The prompt, in which `{garment}` becomes the trigger and the class word, as `filled` has it.

        Raises:
            UserError: the prompt is empty, or asks for a trigger that the adapter does not tell.
        """
        if not prompt.strip():
            raise UserError('--prompt is required, such as --prompt "a photo of {garment} at the beach"')
        if "{garment}" not in prompt:
            return prompt
        if not self.cards[0].get("trigger"):
            raise UserError(f"{self.files[0]}: tells no trigger; write it into the prompt instead of {{garment}}")
        return filled(prompt, escaped(f"{self.cards[0]['trigger']} {self.class_word}".strip()))

    def named_regions(self, regions: Regions) -> Regions:
        """The regions, in whose words `{garment}` becomes what it does in the prompt."""
        return dataclasses.replace(regions, words=tuple(map(self.named, regions.words)))

    @property
    def class_word(self) -> str:
        """What the garment is, as far as a card tells it."""
        return str(self.cards[0].get("class_word", ""))

    def called(self, words: str, prompt: str) -> str | None:
        """The garment's class word: as words tell it, else the card, else the prompt."""
        return class_word_told(words, self.class_word) or class_word_of(prompt)

    def attributes(self, words: str) -> dict[str, str]:
        """Sleeves, length and further attributes of the intake's vocabulary: as words tell them, then as the card does.

        Words of another garment than the card's leave the card out.
        """
        if class_word_told(words, self.class_word) not in (None, self.class_word):
            return attributes_of(words)
        told = self.cards[0].get("attributes")
        # Cards come from anywhere, and tell the shop's own words too.
        pairs = told.items() if isinstance(told, dict) else ()
        known = {name: value for name, value in pairs if isinstance(value, str) and value in ATTRIBUTES.get(name, ())}
        return {**known, **attributes_of(words)}


def read_outfit(settings: WearSettings, photos_follow: bool = False) -> Outfit:
    """Read the cards of what the settings name, before anything heavy is imported.

    Args:
        photos_follow: what the encoder is shown is found later.

    Raises:
        UserError: a file that is missing or no adapter, an encoder without photos, or a base that nothing names or that
            is not there.
    """
    if settings.encoder and not settings.garment_photo and not photos_follow:
        raise UserError("--garment_photo is missing: an encoder is shown photos of the garment")
    files = [*settings.adapter, *([settings.encoder] if settings.encoder else [])]
    cards = [read_card(path) for path in settings.adapter]
    cards += [read_encoder_facts(settings.encoder)] if settings.encoder else []
    weights = settings.weight or [weight_of(card) for card in cards[: len(settings.adapter)]]
    if not files:
        files, cards = [Path(str(settings.base))], [read_base_card(str(settings.base))]
    name = _base_of(settings, cards[0], files[0])
    base = BaseSettings(
        base=name,
        **_told_of_base(settings, cards[0], name),
        # A fine-tuned checkpoint holds its VAE.
        vae=settings.vae or (None if files[0] == Path(str(settings.base)) else cards[0].get("vae")),
        clip_skip=settings.clip_skip or cards[0].get("clip_skip", 1),
        precision=settings.precision,
        embedding=[*settings.embedding, *_words_of(settings, cards, files)],
    )
    check_base(base)
    return Outfit(settings, tuple(files), tuple(cards), tuple(weights), base)


def put_on(outfit: Outfit, base: Base, kind: PipelineKind, prompt: str) -> tuple[Any, GarmentPhotos | None, bool]:
    """diffusers' pipeline of the base that wears the outfit, what its garment encoder sees in the photos, and whether
    all of it comes off the base again.

    Args:
        prompt: may name what the garment is, which helps to find it in the photos.

    Raises:
        UserError: something that was made for another base or another image tower.
    """
    from lapel.adapters.wear import wear

    check_fit(outfit, base)
    pipeline = base.pipeline(kind)
    comes_off = wear(pipeline, list(zip(outfit.settings.adapter, outfit.weights, strict=True)))
    return pipeline, _show(outfit.settings, prompt, pipeline, base) if outfit.settings.encoder else None, comes_off


def _show(settings: WearSettings, prompt: str, pipeline: Any, base: Base) -> GarmentPhotos:
    from lapel.adapters.ip_adapter import read_encoder, wear_encoder
    from lapel.base.image_tower import load_tower
    from lapel.generation.shown import see_photos

    assert settings.encoder is not None
    file = read_encoder(settings.encoder)
    tower = load_tower(settings.image_tower or file.metadata.get("lapel_image_tower"), base, base.device)
    photos = see_photos(tower, settings.garment_photo, file.form == "plus", prompt)
    file.require_tower(tower.name, photos.nothing.shape[-1])
    wear_encoder(pipeline, file, settings.encoder_weight)
    return photos


def _words_of(settings: WearSettings, cards: list[Card], files: list[Path]) -> list[Path]:
    """The files of triggers that were learned as words, beside what was made, unless they are given already."""
    found = (word_file(card, file.parent) for card, file in zip(cards, files, strict=True))
    given = {path.name for path in settings.embedding}
    return list(dict.fromkeys(file for file in found if file is not None and file.name not in given))


def _base_of(settings: WearSettings, card: Card, file: Path) -> str:
    base = settings.base or card.get("base")
    if not base:
        raise UserError(f"{file}: tells no base; name the one it was made for with --base")
    return str(base)


def _told_of_base(settings: WearSettings, card: Card, name: str) -> dict[str, Any]:
    """What the settings say of the base's files, or else the card, where it was made on this very base."""
    itself = not settings.adapter and not settings.encoder  # a fine-tuned checkpoint tells of its own files
    asked = card.get("settings") if name == card.get("base") else None
    known = dict(asked) if isinstance(asked, dict) and not itself else {}
    if itself or name == card.get("base"):
        known |= {key: card[key] for key in ("prediction_type", "zero_terminal_snr") if key in card}
    told = {}
    for key in ("revision", "variant", "prediction_type", "zero_terminal_snr"):
        given = getattr(settings, key)
        told[key] = known.get(key) if given is None else given
    return told


def check_fit(outfit: Outfit, base: Base) -> None:
    """Refuse what was made for another family; warn of what was made on another base, or with what is not worn now.

    Raises:
        UserError: an adapter for another family than the base's.
    """
    adapters = outfit.settings.adapter
    for path, card in zip(outfit.files, outfit.cards, strict=True):
        family = card.get("family", base.family.name)
        if family != base.family.name:
            raise UserError(f"{path}: made for {family}, but {base.name} is {base.family.name}; choose another --base")
        # What was made for text to image is meant to be worn on an inpainting base too.
        if not base.inpainting and card.get("base_hash", base.hash) != base.hash:
            made_on = card.get("base", "an unnamed base")
            _warn(
                f"{path}: made on {made_on} with hash {card['base_hash'][:10]}, not {base.hash[:10]} as {base.name} "
                "has; the garment may look different"
            )
        for word in (word for word in card.get("embeddings", {}) if word not in base.embeddings):
            _warn(f"{path}: made with the word {word}; give its file with --embedding")
        if (met := card.get("encoder")) and not outfit.settings.encoder:
            _warn(
                f"{path}: learned what the garment encoder {met['name']} misses of the garment; wear that too, with "
                f"--encoder {met['name']} --garment_photo {met['photo']}"
            )
        present = {sha256(other) for other in adapters} if card.get("worn") else set()
        for missing in (worn for worn in card.get("worn", []) if worn["hash"] not in present):
            _warn(
                f"{path}: made while the base wore {missing['name']} at {missing['weight']:g}; wear it too, with "
                "--adapter and --weight"
            )


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)

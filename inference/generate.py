"""Draw images that show a garment: python inference/generate.py --adapter FILE --prompt "a photo of {garment} ..."

The base is the one that the first adapter's card names; several adapters are worn together, each with its weight. A
garment that nothing was trained for is worn from its photos: --encoder FILE --garment_photo PHOTO --prompt "...". A
fine-tuned checkpoint wears nothing: --base FILE --prompt "a photo of {garment} ...".
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.base.find import check_base
from lapel.base.settings import BaseSettings
from lapel.errors import UserError, run_program
from lapel.files import require_writable, sha256, written_whole
from lapel.generation import GarmentPhotos, Provenance, Request, WearSettings, WornAdapter, generate, save_image
from lapel.quiet import quiet
from lapel.report.card import read_base_card, read_card, word_file
from lapel.report.encoder_card import read_encoder_facts
from lapel.report.loading import weight_of
from lapel.settings import read_settings

if TYPE_CHECKING:
    from PIL import Image

    from lapel.base.base import Base

Card = dict[str, Any]


def main() -> None:
    """Read cards, load the base, wear the adapters, draw and save."""
    settings, request = read_settings(__doc__ or "", WearSettings, Request)
    files = list(settings.adapter)
    cards = [read_card(path) for path in files]
    settings.weight = settings.weight or [weight_of(card) for card in cards]
    if settings.encoder:
        files.append(settings.encoder)
        cards.append(read_encoder_facts(files[-1]))
    card, file = (cards[0], files[0]) if files else (read_base_card(str(settings.base)), Path(str(settings.base)))
    request.prompt = with_garment(request.prompt, card, file)
    base_settings = BaseSettings(
        base=base_of(settings, card, file),
        # A fine-tuned checkpoint holds its VAE.
        vae=settings.vae or (card.get("vae") if files else None),
        clip_skip=settings.clip_skip or card.get("clip_skip", 1),
        precision=settings.precision,
        embedding=[*settings.embedding, *words_of(settings, cards or [card], files or [file])],
    )
    check_base(base_settings)
    require_writable(settings.output_dir)

    quiet()
    import torch

    from lapel.adapters.wear import wear
    from lapel.base.load import load_base

    base = load_base(base_settings, "cuda" if torch.cuda.is_available() else "cpu")
    check_fit(base, files, cards, settings.encoder is not None)
    pipeline = base.pipeline()
    wear(pipeline, list(zip(settings.adapter, settings.weight, strict=True)))
    photos = show(settings, settings.encoder, request.prompt, pipeline, base) if settings.encoder else None
    images = generate(pipeline, request, time_left(), photos)
    provenance = Provenance(base.name, base.hash, worn(settings, cards), base.clip_skip, shown(settings))
    for path in save(images, request, settings.output_dir, provenance):
        print(path)


def show(settings: WearSettings, encoder: Path, prompt: str, pipeline: Any, base: Base) -> GarmentPhotos:
    """Put the garment encoder into the pipeline, and give what it sees in the photos.

    Raises:
        UserError: the encoder is for another base, or the image tower not the one that it was trained with.
    """
    from lapel.adapters.ip_adapter import read_encoder, wear_encoder
    from lapel.base.image_tower import load_tower
    from lapel.generation.shown import see_photos

    file = read_encoder(encoder)
    tower = load_tower(settings.image_tower or file.metadata.get("lapel_image_tower"), base, base.device)
    photos = see_photos(tower, settings.garment_photo, file.form == "plus", prompt)
    file.require_tower(tower.name, photos.nothing.shape[-1])
    wear_encoder(pipeline, file, settings.encoder_weight)
    return photos


def shown(settings: WearSettings) -> str:
    """The encoder as the images' settings name it."""
    if not settings.encoder:
        return ""
    photos = " and ".join(photo.name for photo in settings.garment_photo)
    return f"{settings.encoder.stem} {settings.encoder_weight:g} of {photos}"


def words_of(settings: WearSettings, cards: list[Card], files: list[Path]) -> list[Path]:
    """The files of triggers that were learned as words, beside what was made, unless they are given already."""
    found = (word_file(card, file.parent) for card, file in zip(cards, files, strict=True))
    given = {path.name for path in settings.embedding}
    return list(dict.fromkeys(file for file in found if file is not None and file.name not in given))


def with_garment(prompt: str, card: Card, adapter: Path) -> str:
    """`{garment}` becomes the adapter's trigger and class word.

    Raises:
        UserError: the prompt is empty, or asks for a trigger that the adapter does not tell.
    """
    if not prompt.strip():
        raise UserError('--prompt is required, such as --prompt "a photo of {garment} at the beach"')
    if "{garment}" not in prompt:
        return prompt
    if not card.get("trigger"):
        raise UserError(f"{adapter}: tells no trigger; write it into the prompt instead of {{garment}}")
    return prompt.replace("{garment}", f"{card['trigger']} {card.get('class_word', '')}".strip())


def base_of(settings: WearSettings, card: Card, file: Path) -> str:
    """The base asked for, or else the one that the card names.

    Raises:
        UserError: neither is there.
    """
    base = settings.base or card.get("base")
    if not base:
        raise UserError(f"{file}: tells no base; name the one it was made for with --base")
    return str(base)


def check_fit(base: Base, adapters: list[Path], cards: list[Card], encoder: bool) -> None:
    """Refuse adapters of another family; warn of those made on another base, or with others that are not worn now.

    Args:
        encoder: whether a garment encoder is worn.

    Raises:
        UserError: an adapter for another family than the base's.
    """
    for path, card in zip(adapters, cards, strict=True):
        family = card.get("family", base.family.name)
        if family != base.family.name:
            raise UserError(f"{path}: made for {family}, but {base.name} is {base.family.name}; choose another --base")
        if card.get("base_hash", base.hash) != base.hash:
            made_on = card.get("base", "an unnamed base")
            print(
                f"warning: {path}: made on {made_on} with hash {card['base_hash'][:10]}, not {base.hash[:10]} as "
                f"{base.name} has; the garment may look different",
                file=sys.stderr,
            )
        for word in (word for word in card.get("embeddings", {}) if word not in base.embeddings):
            print(f"warning: {path}: made with the word {word}; give its file with --embedding", file=sys.stderr)
        if (met := card.get("encoder")) and not encoder:
            print(
                f"warning: {path}: learned what the garment encoder {met['name']} misses of the garment; wear that "
                f"too, with --encoder {met['name']} --garment_photo {met['photo']}",
                file=sys.stderr,
            )
        present = {sha256(other) for other in adapters} if card.get("worn") else set()
        for missing in (worn for worn in card.get("worn", []) if worn["hash"] not in present):
            print(
                f"warning: {path}: made while the base wore {missing['name']} at {missing['weight']:g}; wear it too, "
                "with --adapter and --weight",
                file=sys.stderr,
            )


def worn(settings: WearSettings, cards: list[Card]) -> tuple[WornAdapter, ...]:
    """The adapters as the images' settings name them."""
    trios = zip(settings.adapter, settings.weight, cards, strict=False)  # an encoder's card comes last
    return tuple(WornAdapter(card.get("name", path.stem), weight, card.get("hash", "")) for path, weight, card in trios)


def time_left() -> Callable[[int, int], None]:
    """A line on stderr that tells the share done and the time left; on a terminal it is one line that changes."""
    start = time.perf_counter()
    terminal = sys.stderr.isatty()
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        tenth = 10 * done // total
        if not terminal and tenth == told:
            return
        told = tenth
        left = math.ceil((time.perf_counter() - start) / done * (total - done))
        line = f"drawing: {100 * done // total:3d} %, {left // 60}:{left % 60:02d} left"
        print(line, end="\n" if done == total or not terminal else "\r", file=sys.stderr, flush=True)

    return tell


def save(images: list[Image.Image], request: Request, folder: Path, provenance: Provenance) -> list[Path]:
    """Write each image under its number and seed, beside what is there already, and a contact sheet of these."""
    from lapel.sheet import contact_sheet

    seeds = request.image_seeds()
    first = 1 + max((int(path.stem[:4]) for path in folder.glob("[0-9][0-9][0-9][0-9]-*.png")), default=0)
    paths = [folder / f"{first + number:04d}-{seed}.png" for number, seed in enumerate(seeds)]
    for path, image, seed in zip(paths, images, seeds, strict=True):
        save_image(path, image, request, seed, provenance)
    sheet = contact_sheet([images], [request.prompt], [f"seed {seed}" for seed in seeds])
    paths.append(folder / "sheet.png")
    with written_whole(paths[-1]) as unfinished:
        sheet.save(unfinished)
    return paths


if __name__ == "__main__":
    run_program(main)

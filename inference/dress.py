"""A person who wears the garment: python inference/dress.py --adapter FILE --scene "at the beach"

People, places and poses are combined into a look-book. A garment is worn as an adapter, by a garment encoder, or both;
with `--keep PHOTO` its own pixels are kept, and the person is drawn around them.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.errors import UserError, run_program
from lapel.files import require_writable, written_whole
from lapel.generation import Outfit, PictureSettings, Provenance, WearSettings, put_on, read_outfit, save_image
from lapel.generation.control import Control, ControlSettings, guided, load_controlnet, made_of, read_controls
from lapel.generation.like import like
from lapel.generation.parsed import Parsed, heard_looks, make_parsed, write_parsed
from lapel.generation.people import PeopleSettings
from lapel.generation.pose_models import find_pose
from lapel.generation.progress import time_left
from lapel.generation.regions import RegionSettings, read_regions, regional
from lapel.generation.retrieve import Found, RetrievalSettings, find_garments, write_found
from lapel.photos.captions import class_word_of, class_word_told
from lapel.photos.people.looks import Looks, Worn
from lapel.photos.people.pose import Pose, draw_pose
from lapel.quiet import quiet
from lapel.settings import read_settings
from lapel.wardrobe import with_article

if TYPE_CHECKING:
    from PIL import Image

    from lapel.base.base import Base
    from lapel.generation.keep import Placed
    from lapel.generation.regions import Regions
    from lapel.photos.catalogue import CatalogueSettings


@dataclass
class DressSettings:
    """How the garment comes into the picture."""

    keep: Path | None = None
    """A photo of the garment, laid flat, whose own pixels are kept: the person is drawn around them."""

    place: tuple[float, float, float] | None = None
    """Of the kept garment: x and y of its middle, and its width, as shares of the picture. Unless given, as the pose
    wears it."""

    garment_words: str = ""
    """What the garment is, in words such as "t-shirt, short sleeve", where its card does not tell."""

    texture: str = ""
    """Words of texture for the prompts, such as "plaid" or "red plaid shirt, denim skirt"."""

    pose_control: str = ""
    """The ControlNet that poses are shown to, such as `tiny` or a hub id; with `--shape`, on a parsing map of a person
    who wears that, which it must have been trained for, as `tiny` was."""


def main() -> None:
    """Draw every person in every place and pose, and save the look-book."""
    argv = like(sys.argv[1:])
    kinds = (
        DressSettings,
        PeopleSettings,
        RetrievalSettings,
        WearSettings,
        ControlSettings,
        RegionSettings,
        PictureSettings,
    )
    settings, people, search, wearing, control, region, request = read_settings(__doc__ or "", *kinds, argv=argv)
    outfit = read_outfit(wearing, photos_follow=search.catalogue is not None)
    region.require_encoder(wearing.encoder)
    catalogue = search.listed() if search.catalogue else None
    word = class_word_told(settings.garment_words, outfit.class_word) or class_word_of(request.prompt)
    check(settings, people, outfit, request, bool(word or control.shape or catalogue))
    require_writable(wearing.output_dir)

    quiet()
    import torch

    from lapel.base.load import load_base

    base = load_base(outfit.base, "cuda" if torch.cuda.is_available() else "cpu")
    size = (request.width or base.resolution, request.height or base.resolution)
    request = dataclasses.replace(request, width=size[0], height=size[1])
    found = find(search, catalogue, base) if catalogue else ()
    if found:
        outfit, word = dressed_in(found, outfit), word or class_word_of(found[0].class_word)
    worn = Worn(word or "", outfit.attributes(settings.garment_words))
    shape = ", ".join(filter(None, (settings.garment_words or worn.cut(), control.shape)))
    looks = heard_looks(shape, settings.texture, base) if control.shape or settings.texture else None
    # What no encoder is shown, the prompt says.
    captions = [] if outfit.settings.encoder else [garment.words for garment in found]
    prompts = prompts_of(outfit, people, request, captions, looks.named() if looks else with_article(word or "garment"))
    stances = [stance_of(path, size, control, looks) for path in people.pose] or [Stance()]
    pipeline, photos = put_on(outfit, base, "inpaint" if settings.keep else "text2img", prompts[0])
    network = load_controlnet(settings.pose_control, base) if settings.pose_control else None
    controls = read_controls(control, base, size, looks)
    rows = []
    for prompt, stance in itertools.product(prompts, stances):
        shown = [*controls, *stance.controls(network)]
        asked = dataclasses.replace(request, prompt=prompt)
        regions = outfit.named_regions(read_regions(region, size, made_of(shown)))
        images = draw(settings, worn, base, pipeline, asked, stance.pose, shown, photos, regions)
        rows.append((prompt, asked, images))
    made = [*made_of(controls), *(stance.parsed for stance in stances if stance.parsed)]
    paths = save(rows, outfit.provenance(base, region.told()), wearing.output_dir)
    for path in [*paths, *write_parsed(made, wearing.output_dir)]:
        print(path)


def find(search: RetrievalSettings, catalogue: CatalogueSettings, base: Base) -> tuple[Found, ...]:
    """The garments of the catalogue that are nearest to the sentence; says which."""
    from lapel.fidelity.readers import load_towers
    from lapel.photos.catalogue import read_catalogue
    from lapel.training.encoding import cache_folder

    cache = cache_folder(None)
    read = read_catalogue(catalogue, base.resolution, base.multiple, cache)
    found = find_garments(read, load_towers(search.reader), search.query, search.nearest, cache)
    for garment in found:
        print(f"found: {garment.sku} ({garment.words}), likeness {garment.likeness:.2f}", file=sys.stderr)
    return found


def dressed_in(found: tuple[Found, ...], outfit: Outfit) -> Outfit:
    """The outfit whose encoder, if any, is shown what was found."""
    paths = write_found(found, outfit.settings.output_dir)
    return outfit.showing([*outfit.settings.garment_photo, *paths]) if outfit.settings.encoder else outfit


@dataclass(frozen=True)
class Stance:
    """How somebody stands, as far as that is settled."""

    pose: Pose | None = None
    parsed: Parsed | None = None

    def controls(self, network: Any) -> list[Control]:
        """What the pose's ControlNet is shown: the skeleton, on a parsing map where there is one."""
        if network is None or self.pose is None:
            return []
        return [
            Control(network, self.parsed.shown(self.pose) if self.parsed else draw_pose(self.pose), made=self.parsed)
        ]


def stance_of(path: Path, size: tuple[int, int], control: ControlSettings, looks: Looks | None) -> Stance:
    """A pose, and its parsing map where words of shape tell what is worn."""
    pose = find_pose(path, size, control.pose_model)
    return Stance(pose, make_parsed(path, pose, looks) if control.shape and looks else None)


def check(
    settings: DressSettings, people: PeopleSettings, outfit: Outfit, request: PictureSettings, known: bool
) -> None:
    """Refuse what would not be drawn.

    Raises:
        UserError: nothing tells what the garment is called, or a pose or a texture that nothing would show.
    """
    if people.pose and not settings.pose_control and not settings.keep:
        raise UserError("a pose is kept by a ControlNet only; give --pose_control, such as `tiny`")
    trigger = outfit.cards[0].get("trigger")
    if settings.texture and (request.prompt or trigger):
        why = "the prompt is given; say the texture there" if request.prompt else f"{trigger} has its own"
        raise UserError(f"--texture {settings.texture}: {why}")
    if not (request.prompt or trigger or known or settings.texture):
        raise UserError('nothing tells what the garment is; give --garment_words, such as "t-shirt, short sleeve"')


def prompts_of(
    outfit: Outfit, people: PeopleSettings, request: PictureSettings, captions: list[str], worn: str
) -> list[str]:
    """The prompts of the look-book: the one given, or every person's in every place; with captions of what was found.

    Args:
        worn: what is worn, where neither the prompt, nor a trigger, nor a caption tells it.
    """
    if not request.prompt and not outfit.cards[0].get("trigger"):
        return people.prompts(" and ".join(captions) or worn)
    said = [request.prompt] if request.prompt else people.prompts("a {garment}")
    return [", ".join([outfit.named(text), *captions]) for text in said]


def draw(
    settings: DressSettings,
    worn: Worn,
    base: Base,
    pipeline: Any,
    request: PictureSettings,
    pose: Pose | None,
    controls: list[Control],
    photos: Any,
    regions: Regions,
) -> list[Image.Image]:
    """The images of one prompt in one pose."""
    from lapel.generation import generate
    from lapel.generation.inpaint import InpaintSettings, inpaint

    assert request.width is not None and request.height is not None
    size = (request.width, request.height)
    if settings.keep is None:
        with guided(pipeline, controls, size), regional(pipeline, regions):
            return generate(pipeline, request, time_left(), photos)
    placed = put_down(settings, worn, size, pose)
    how = InpaintSettings(masked_content="noise", mask_feather=0, only_masked=False)
    canvas, drawn = placed.canvas, placed.drawn
    return inpaint(base, pipeline, request, canvas, drawn, how, time_left(), photos, controls, regions=regions)


def put_down(settings: DressSettings, worn: Worn, size: tuple[int, int], pose: Pose | None) -> Placed:
    """The kept garment on its canvas: where the user says, or as the pose wears it."""
    from lapel.generation.keep import place, where_worn
    from lapel.generation.shown import garment_in
    from lapel.photos.people.library import library_pose

    assert settings.keep is not None
    photo, mask = garment_in(settings.keep, worn.class_word)
    # Clothes that lie flat hold their sleeves as this pose does.
    held = pose or library_pose("a-pose@half", size)
    return place(photo, mask, size, settings.place or where_worn(mask, worn.shape, held))


def save(
    rows: list[tuple[str, PictureSettings, list[Image.Image]]], provenance: Provenance, folder: Path
) -> list[Path]:
    """Write every image with its settings, and the look-book: a row for each person, place and pose."""
    from lapel.generation.images import next_number
    from lapel.sheet import contact_sheet

    paths, number = [], next_number(folder)
    for _, request, images in rows:
        for image, seed in zip(images, request.image_seeds(), strict=True):
            paths.append(folder / f"{number:04d}-{seed}.png")
            save_image(paths[-1], image, request, seed, provenance)
            number += 1
    columns = [f"seed {seed}" for seed in rows[0][1].image_seeds()]
    sheet = contact_sheet([images for _, _, images in rows], [prompt for prompt, _, _ in rows], columns)
    paths.append(folder / "sheet.png")
    with written_whole(paths[-1]) as unfinished:
        sheet.save(unfinished)
    return paths


if __name__ == "__main__":
    run_program(main)

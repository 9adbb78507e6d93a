"""Change the clothes on a photo: python inference/try_on.py --image PERSON --adapter FILE

The garment is worn as an adapter, as photos through a garment encoder, or both. Where it goes is drawn by the user
(--mask), or follows from its shape and from the person: --pose is OpenPose's JSON, --parsing a map of what is what.
Every pixel that the mask leaves alone is the photo's own, bit for bit.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.errors import UserError, run_program
from lapel.fidelity.retouch import Retouch, RetouchSettings, require_photos, words
from lapel.files import require_writable, written_whole
from lapel.generation import Outfit, PictureSettings, Provenance, WearSettings, put_on, read_outfit, save_images
from lapel.generation.control import ControlSettings, made_of, read_controls
from lapel.generation.inpaint import InpaintSettings
from lapel.generation.like import like
from lapel.generation.parsed import write_parsed
from lapel.generation.progress import time_left
from lapel.generation.regions import RegionSettings, read_regions
from lapel.photos.captions import class_word_of, class_word_told
from lapel.photos.people.looks import Worn
from lapel.quiet import quiet
from lapel.settings import read_settings

if TYPE_CHECKING:
    from PIL import Image

    from lapel.base.base import Base
    from lapel.generation.control import Control
    from lapel.photos.people.change import Change, Wearer


@dataclass
class TryOnSettings:
    """Who is dressed, and where the garment goes."""

    image: Path
    """Photo of a person, of any size."""

    mask: Path | None = None
    """Where the garment is drawn: white there, of the photo's size. Unless given, made for the garment's shape."""

    pose: Path | None = None
    """The person's pose: OpenPose's JSON of 18 COCO keypoints, a skeleton in its colours, or `pose:IMAGE`, found in the
    photo by --pose_model."""

    parsing: Path | None = None
    """What is what in the photo: a PNG in the palette of docs/wear.md, of the photo's size."""

    mask_model: str | None = None
    """What finds the old garment, without a parsing map: `parser:`, `rembg:` or `sam:` and a hub id or folder."""

    garment_words: str = ""
    """What the garment is, in words such as "t-shirt, short sleeve, cropped", where its card does not tell."""

    pose_control: str = ""
    """The ControlNet that the pose is shown to, such as `tiny` or a hub id; with `--shape`, on a parsing map of the
    person in the new garment, which is that of `--parsing` beyond the mask."""


def main() -> None:
    """Read the photo, make the mask, draw the garment in it, and save."""
    argv = like(sys.argv[1:])
    kinds = (
        TryOnSettings,
        WearSettings,
        InpaintSettings,
        RetouchSettings,
        ControlSettings,
        RegionSettings,
        PictureSettings,
    )
    settings, wearing, inpainting, retouching, control, region, request = read_settings(
        __doc__ or "", *kinds, argv=argv
    )
    outfit = on_inpainting_base(read_outfit(wearing))
    class_word = garment_word(outfit, settings, request)
    worn = Worn(class_word, outfit.attributes(settings.garment_words))
    request.prompt = outfit.named(request.prompt or prompt_for(outfit, worn))
    true_photos = retouching.true_photo or list(wearing.garment_photo)
    require_photos(retouching, true_photos)
    require_pose(settings)
    require_sketch(settings, inpainting, worn, true_photos)
    if not settings.pose_control:
        control.require_parsed()
    region.require_encoder(wearing.encoder)
    require_writable(wearing.output_dir)

    quiet()
    wearer = read_wearer(settings, control)
    change = find_change(settings, wearer, worn)
    sketch = sketch_for(inpainting, wearer, change, worn, true_photos)
    retouch = Retouch(retouching, true_photos, class_word, wearer.pose, worn.shape)

    import torch
    from PIL import Image

    from lapel.base.load import load_base
    from lapel.generation.inpaint import inpaint

    base = load_base(outfit.base, "cuda" if torch.cuda.is_available() else "cpu")
    pipeline, shown = put_on(outfit, base, "inpaint", request.prompt)
    controls = [
        *read_controls(control, base, wearer.photo.size),
        *pose_controls(settings, control, base, wearer, change),
    ]
    regions = outfit.named_regions(read_regions(region, wearer.photo.size, made_of(controls), wearer.parsing))
    images = inpaint(
        base,
        pipeline,
        request,
        wearer.photo,
        change.mask,
        inpainting,
        time_left(),
        shown,
        controls,
        change.kept,
        regions=regions,
        sketch=sketch,
    )
    drawn = Image.fromarray(inpainting.alpha(change.mask, change.kept))
    results = [retouch(image, drawn) for image in images]
    made = write_parsed(made_of(controls), wearing.output_dir)
    provenance = outfit.provenance(base, region.told())
    for path in [*save(wearer.photo, change.mask, results, request, provenance, wearing.output_dir), *made]:
        print(path)


def on_inpainting_base(outfit: Outfit) -> Outfit:
    """On `tiny`'s inpainting variant what would be worn on `tiny`: what surrounds the change is then seen."""
    if outfit.base.base != "tiny" or outfit.settings.base:
        return outfit
    return dataclasses.replace(outfit, base=dataclasses.replace(outfit.base, base="tiny-inpainting"))


def garment_word(outfit: Outfit, settings: TryOnSettings, request: PictureSettings) -> str:
    """The class word: as the card, the words given or the prompt tell it.

    Raises:
        UserError: none does, and a mask is to be made for it.
    """
    word = class_word_told(settings.garment_words, outfit.class_word) or class_word_of(request.prompt)
    if not word and settings.mask is None:
        raise UserError('nothing tells what the garment is; give --garment_words, such as "t-shirt, short sleeve"')
    return word or "garment"


def prompt_for(outfit: Outfit, worn: Worn) -> str:
    """The prompt where none is given."""
    from lapel.wardrobe import with_article

    named = "a {garment}" if outfit.cards[0].get("trigger") else with_article(worn.named())
    return f"a photo of a person wearing {named}"


def read_wearer(settings: TryOnSettings, control: ControlSettings) -> Wearer:
    """The photo, and what the user, or a model, says of the person in it."""
    from lapel.generation.pose_models import find_pose
    from lapel.photos.people.change import Wearer
    from lapel.photos.people.parsing import read_parsing

    photo = read_photo(settings.image)
    pose = find_pose(settings.pose, photo.size, control.pose_model) if settings.pose else None
    parsing = read_parsing(settings.parsing, photo.size) if settings.parsing else None
    return Wearer(photo, pose, parsing)


def read_photo(path: Path) -> Image.Image:
    """The photo as a person sees it, RGB.

    Raises:
        UserError: it is missing or no picture.
    """
    from lapel.photos.read import read_picture

    if not path.is_file():
        raise UserError(f"{path}: no such photo; give --image a photo of a person")
    return read_picture(path, "white").colour


def require_pose(settings: TryOnSettings) -> None:
    """Refuse a ControlNet for poses that is shown none.

    Raises:
        UserError: it would be.
    """
    if settings.pose_control and not settings.pose:
        raise UserError("--pose_control is shown the person's pose: give --pose")


def require_sketch(settings: TryOnSettings, inpainting: InpaintSettings, worn: Worn, true_photos: list[Path]) -> None:
    """Refuse a sketch of what is not told.

    Raises:
        UserError: every finding, a line each.
    """
    if inpainting.masked_content != "sketch":
        return
    findings = []
    if not settings.pose:
        findings.append("--masked_content sketch puts the garment on the person's body: give --pose")
    if not true_photos:
        findings.append("--masked_content sketch lays a photo of the garment on the person: give --true_photo")
    if worn.shape.part == "thing":
        findings.append(
            f"--masked_content sketch has no place for a {worn.class_word}: give --garment_words of clothes"
        )
    if findings:
        raise UserError(*findings)


def pose_controls(
    settings: TryOnSettings,
    control: ControlSettings,
    base: Base,
    wearer: Wearer,
    change: Change,
) -> list[Control]:
    """What the pose's ControlNet is shown: the skeleton; with words of shape, on a map of who wears the new garment."""
    from lapel.generation.control import Control, load_controlnet
    from lapel.generation.parsed import changed_into, heard_looks, make_parsed
    from lapel.photos.people.pose import draw_pose

    if not settings.pose_control or settings.pose is None or wearer.pose is None:
        return []
    network = load_controlnet(settings.pose_control, base)
    if not control.shape:
        return [Control(network, draw_pose(wearer.pose))]
    made = make_parsed(settings.pose, wearer.pose, heard_looks(control.shape, "", base))
    if wearer.parsing is not None:
        made = changed_into(wearer.parsing, made, change.mask)
    return [Control(network, made.shown(wearer.pose), made=made)]


def find_change(settings: TryOnSettings, wearer: Wearer, worn: Worn) -> Change:
    """Where the user's mask says, or where the garment goes on this person.

    Raises:
        UserError: a file that does not fit the photo, or a photo in which nobody is found.
    """
    from lapel.fidelity.mask_models import load_mask_model
    from lapel.photos.people.change import change_of_clothes, change_within
    from lapel.photos.read import read_mask

    if settings.mask is not None:
        return change_within(wearer, read_mask(settings.mask, settings.image, wearer.photo.size))
    change = change_of_clothes(wearer, worn, load_mask_model(settings.mask_model))
    if not change.found:
        print(
            "the old garment is not found for sure: all that one may cover is drawn anew; --parsing or --mask_model",
            "would tell",
            file=sys.stderr,
        )
    return change


def sketch_for(
    inpainting: InpaintSettings, wearer: Wearer, change: Change, worn: Worn, true_photos: list[Path]
) -> Image.Image | None:
    """What denoising begins with, where that is to be a sketch."""
    from lapel.generation.shown import garment_in
    from lapel.generation.sketch import sketch_change

    if inpainting.masked_content != "sketch":
        return None
    alpha = inpainting.alpha(change.mask, change.kept)
    return sketch_change(wearer, alpha, worn, garment_in(true_photos[0], worn.class_word))


def save(
    photo: Image.Image,
    mask: Image.Image,
    results: list[tuple[Image.Image, dict[str, Any]]],
    request: PictureSettings,
    provenance: Provenance,
    folder: Path,
) -> list[Path]:
    """Write the images with their settings, the mask, what was measured, and a sheet of photo, mask and images."""
    images = [image for image, _ in results]
    paths = save_images(images, request, folder, provenance, beside=[(photo, "photo"), (mask, "mask")])
    with written_whole(folder / "mask.png") as unfinished:
        mask.save(unfinished, format="PNG")
    told = {path.name: result for path, (_, result) in zip(paths, results, strict=False) if result}
    for name, result in told.items():
        print(f"{name}: {words(result)}", file=sys.stderr)
    if told:
        with written_whole(folder / "retouched.json") as unfinished:
            unfinished.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return paths


if __name__ == "__main__":
    run_program(main)

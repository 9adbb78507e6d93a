"""A change of clothes: who is on the photo, where the garment goes, and what its drawing begins with."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lapel.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

    from lapel.generation.inpaint import InpaintSettings
    from lapel.generation.outfit import Outfit
    from lapel.photos.masks.models import MaskModel
    from lapel.photos.people.change import Change, Wearer
    from lapel.photos.people.looks import Worn

    MaskModels = Callable[[str | None], MaskModel | None]


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
    """The ControlNet that the pose is shown to, such as `tiny` or a hub id; with `--shape`, and `tiny` in any case, on
    a parsing map of the person in the new garment, which is that of `--parsing` beyond the mask."""

    def require_pose(self) -> None:
        """Refuse a ControlNet for poses that is shown none.

        Raises:
            UserError: it would be.
        """
        if self.pose_control and not self.pose:
            raise UserError("--pose_control is shown the person's pose: give --pose")

    def require_sketch(self, inpainting: InpaintSettings, worn: Worn, true_photos: list[Path]) -> None:
        """Refuse a sketch of what is not told.

        Raises:
            UserError: every finding, a line each.
        """
        if inpainting.masked_content != "sketch":
            return
        findings = []
        if not self.pose:
            findings.append("--masked_content sketch puts the garment on the person's body: give --pose")
        if not true_photos:
            findings.append("--masked_content sketch lays a photo of the garment on the person: give --true_photo")
        if worn.shape.part == "thing":
            findings.append(
                f"--masked_content sketch has no place for a {worn.class_word}: give --garment_words of clothes"
            )
        if findings:
            raise UserError(*findings)


def on_inpainting_base(outfit: Outfit) -> Outfit:
    """On `tiny`'s inpainting variant what would be worn on `tiny`: what surrounds the change is then seen."""
    if outfit.base.base != "tiny" or outfit.settings.base:
        return outfit
    return replace(outfit, base=replace(outfit.base, base="tiny-inpainting"))


def prompt_for(outfit: Outfit, worn: Worn) -> str:
    """The prompt where none is given."""
    from lapel.wardrobe import with_article

    named = "a {garment}" if outfit.cards[0].get("trigger") else with_article(worn.named())
    return f"a photo of a person wearing {named}"


def read_wearer(settings: TryOnSettings, pose_model: str | None) -> Wearer:
    """The photo, and what the user, or a model that finds poses, says of the person in it.

    Raises:
        UserError: a file that is missing, cannot be read, or does not fit the photo.
    """
    from lapel.generation.pose_models import find_pose
    from lapel.photos.people.change import Wearer
    from lapel.photos.people.parsing import read_parsing

    photo = _read_photo(settings.image)
    pose = find_pose(settings.pose, photo.size, pose_model) if settings.pose else None
    parsing = read_parsing(settings.parsing, photo.size) if settings.parsing else None
    return Wearer(photo, pose, parsing)


def _read_photo(path: Path) -> Image.Image:
    """The photo as a person sees it, RGB.

    Raises:
        UserError: it is missing or no picture.
    """
    from lapel.photos.read import read_picture

    if not path.is_file():
        raise UserError(f"{path}: no such photo; give --image a photo of a person")
    return read_picture(path, "white").colour


def find_change(settings: TryOnSettings, wearer: Wearer, worn: Worn, load_mask_model: MaskModels) -> Change:
    """Where the user's mask says, or where the garment goes on this person.

    Args:
        load_mask_model: loads what `mask_model` names.

    Raises:
        UserError: a file that does not fit the photo, or a photo in which nobody is found.
    """
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

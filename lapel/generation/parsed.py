"""Parsing maps made of a pose and words of shape, for ControlNets that read them (Text2Human, Jiang et al., 2022)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.base.find import SHIPPED
from lapel.photos.people.looks import Looks, read_looks
from lapel.photos.people.parsing import Classes, colours_of, write_parsing
from lapel.photos.people.pose import NAMED, Pose, draw_pose

if TYPE_CHECKING:
    from PIL import Image

    from lapel.base.base import Base
    from lapel.photos.understand import Embed

PARSED = "parsing:"
"""What stands before a pose, of the library or a file, where a parsing map of it is meant."""


@dataclass(frozen=True)
class Parsed:
    """A parsing map that was made, and the name of its file."""

    classes: Classes
    name: str

    def shown(self, pose: Pose | None = None) -> Image.Image:
        """The map in the palette's colours, RGB; with a pose, its skeleton drawn on it."""
        import numpy as np
        from PIL import Image

        pixels = colours_of(self.classes)
        if pose is not None:
            skeleton = np.asarray(draw_pose(pose))
            pixels = np.where(skeleton.any(axis=2, keepdims=True), skeleton, pixels)
        return Image.fromarray(pixels)


def is_parsed(path: Path) -> bool:
    """Whether it stands for a parsing map that is to be made."""
    return str(path).startswith(PARSED)


def parsed_pose(path: Path) -> Path:
    """The pose that a parsing map is asked of: `pose:standing` for `parsing:standing`, or the file it names."""
    name = str(path).removeprefix(PARSED).removeprefix(NAMED)
    return Path(name) if name.lower().endswith(".json") else Path(NAMED + name)


def make_parsed(path: Path, pose: Pose, looks: Looks) -> Parsed:
    """The parsing map of a pose that was read from `path`, in a picture of its size.

    Raises:
        UserError: clothes cannot hang on it.
    """
    from lapel.photos.people.figure import parsing_of

    classes = parsing_of(pose, looks.clothes(), looks.hair)
    name = str(path).removeprefix(NAMED).replace("@", "-")
    return Parsed(classes, f"parsing-{Path(name).stem}.png")


def heard_looks(shape: str, texture: str, base: Base) -> Looks:
    """The looks that words tell, by the base's text encoder where neither synonyms nor spelling help; says what was
    understood.

    Raises:
        UserError: a phrase that is not understood.
    """
    looks = read_looks(shape, texture, text_embedder(base))
    print(f"understood: {looks.told()}", file=sys.stderr)
    return looks


def text_embedder(base: Base) -> Embed | None:
    """Unit vectors of texts by the base's (first) text encoder.

    None for `tiny`, whose encoder has learned the wardrobe's words alone.
    """
    import numpy as np
    import torch

    if base.name in SHIPPED:
        return None

    def embed(texts: Sequence[str]) -> Any:
        encoder: Any = base.text_encoders[0]
        with torch.no_grad():
            ids = base.tokenize(texts, 1)[0][:, 0].to(encoder.device)
            pooled = encoder(ids).pooler_output
        return np.asarray(torch.nn.functional.normalize(pooled.float(), dim=-1).cpu())

    return embed


def changed_into(before: Classes, made: Parsed, mask: Image.Image) -> Parsed:
    """The parsing map of a photo, with what was made in it where a mask (mode L) says."""
    import numpy as np

    return Parsed(np.where(np.asarray(mask) > 0, made.classes, before), made.name)


def write_parsed(maps: Sequence[Parsed], folder: Path) -> list[Path]:
    """Write the maps that were made beside the images, as PNGs that can be edited and given back."""
    unique = {made.name: made for made in maps}
    for name, made in unique.items():
        write_parsing(made.classes, folder / name)
    return [folder / name for name in unique]

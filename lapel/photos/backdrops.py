"""Backdrops: other backgrounds that a masked photo is put on, so that an adapter learns the garment and not the studio.

Which ones a photo gets is a pure function of its content and the settings. They are recipes until they are painted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from lapel.errors import UserError
from lapel.files import sha256
from lapel.photos.captions import read_text
from lapel.photos.colour_names import NAMES
from lapel.photos.folder import PHOTO_SUFFIXES
from lapel.photos.read import read_picture
from lapel.photos.settings import PhotoSettings
from lapel.wardrobe import SCENE_WORDS
from lapel.wardrobe.canvas import Canvas
from lapel.wardrobe.draws import Draws
from lapel.wardrobe.scenes import draw_scene

Floats = npt.NDArray[np.float32]

VERSION = "1"
"""Raised when a recipe gives another picture than before, so that nothing painted by the older one is read."""

_STREAM = 8
_NO_WORDS = {"img", "dsc", "dscf", "pxl", "mvimg", "photo", "image", "background", "backdrop", "unsplash", "pexels"}


@dataclass(frozen=True)
class Backdrop:
    """A recipe: `name` is a colour's, a scene's, or a picture file; `words` say in a caption where the garment is."""

    kind: str
    name: str
    words: str
    seed: int
    content: str = ""
    """SHA-256 of the picture file."""

    def paint(self, width: int, height: int) -> Image.Image:
        """The background alone, RGB."""
        draws = Draws(self.seed, _STREAM)
        if self.kind == "plain":
            return Image.new("RGB", (width, height), _shade(NAMES[self.name], draws))
        if self.kind == "gradient":
            return _gradient(_shade(NAMES[self.name], draws), draws, width, height)
        if self.kind == "scene":
            return _middle_of(_scene(self.name, self.seed, max(width, height)), width, height)
        picture = read_picture(Path(self.name), "white").colour
        centering = draws.uniform(0.2, 0.8), draws.uniform(0.2, 0.8)
        return ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS, centering=centering)


def backdrops_for(row: Mapping[str, Any], settings: PhotoSettings, pictures: Sequence[Backdrop]) -> list[Backdrop]:
    """The backdrops of one row of `GarmentFolder.photos`: none where what is before the background is not sure.

    The kinds take turns, from one that the photo's content settles, and of each kind none comes twice before all of it
    did. Plain colours are not the garment's own. `pictures` are those of `--backdrop_dir`, by `list_pictures`.
    """
    if not row["movable"]:
        return []
    seed = int(row["content"][:12], 16)
    draws = Draws(seed, _STREAM)
    own = {colour.rsplit(" ", 2)[0] for colour in row["colours"]}
    colours = [name for name in NAMES if name not in own]
    decks: dict[str, list[Backdrop]] = {
        "plain": [Backdrop("plain", name, f"on {_article(name)} {name} background", 0) for name in colours],
        "gradient": [Backdrop("gradient", name, f"on {_article(name)} {name} gradient", 0) for name in colours],
        "scene": [Backdrop("scene", name, words, 0) for name, words in SCENE_WORDS.items()],
        "folder": list(pictures),
    }
    kinds = settings.all_backdrop_kinds
    shuffled = {kind: _shuffled(decks[kind], draws) for kind in kinds}
    start = draws.integer(len(kinds)) if kinds else 0
    chosen = []
    for number in range(settings.backdrops):
        deck = shuffled[kinds[(start + number) % len(kinds)]]
        card = deck[number // len(kinds) % len(deck)]
        chosen.append(Backdrop(card.kind, card.name, card.words, draws.integer(1 << 30), card.content))
    return chosen


def list_pictures(settings: PhotoSettings) -> list[Backdrop]:
    """The pictures of `--backdrop_dir`, none where it is not given.

    Their words are those of `picture.txt` beside them, else of the file's name (`sunny-beach.jpg`), else none. Raises
    `UserError` with every picture that cannot be read, or where the folder holds none.
    """
    folder = settings.backdrop_dir
    if folder is None:
        return []
    problems: list[str] = []
    listed = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.suffix.lower() in PHOTO_SUFFIXES and not path.name.startswith("."):
            try:
                read_picture(path, "white")
                listed.append(Backdrop("folder", str(path), _words_of_picture(path), 0, sha256(path)))
            except UserError as error:
                problems += error.lines
    if not listed and not problems:
        problems.append(f"{folder}: --backdrop_dir holds no pictures; put backgrounds into it, or leave it out")
    if problems:
        raise UserError(*problems)
    return listed


def caption_on(row: Mapping[str, Any], backdrop: Backdrop) -> str:
    """The caption of a row's photo on a backdrop: what varies is written, so the backdrop is.

    A caption that somebody wrote tells of the photo as it is, so its place is taken by the composed one.
    """
    return f"{row['composed']}, {backdrop.words}" if backdrop.words else row["composed"]


def painted(row: Mapping[str, Any], backdrops: Sequence[Backdrop]) -> list[Image.Image]:
    """A row's photo on each of its backdrops, RGB, as large as it is."""
    photo, figure = row["image"], row["figure"] or row["mask"]
    return [put_on(photo, figure, backdrop.paint(*photo.size)) for backdrop in backdrops]


def put_on(photo: Image.Image, figure: Image.Image, backdrop: Image.Image) -> Image.Image:
    """The `figure` (mode L) of a photo before another background, all of one size; its edges bring no old colour along.

    At a soft edge a photo shows garment and background mixed. The garment's own colour there is estimated by blurred
    fusion (Forte, 2021), twice, with a wide and then a narrow blur.
    """
    image, alpha = _floats(photo), _floats(figure)[..., None]
    front = back = image
    for reach in (0.08, 0.008):
        front, back = _fused(image, front, back, alpha, max(4, round(reach * max(photo.size))))
    mixed = alpha * front + (1 - alpha) * _floats(backdrop)
    return Image.fromarray((np.clip(mixed, 0, 1) * 255).round().astype(np.uint8))


def _fused(image: Floats, front: Floats, back: Floats, alpha: Floats, radius: int) -> tuple[Floats, Floats]:
    """One step of blurred fusion: foreground and background, each blurred within its own share of the pixels."""
    size = (2 * radius + 1, 2 * radius + 1)

    def within(colour: Floats, share: Floats) -> Floats:
        weight = cv2.blur(share, size).reshape(share.shape)
        blurred: Floats = cv2.blur(colour * share, size) / np.maximum(weight, 1e-5)
        return blurred

    blurred_front, blurred_back = within(front, alpha), within(back, 1 - alpha)
    front = blurred_front + alpha * (image - alpha * blurred_front - (1 - alpha) * blurred_back)
    return np.clip(front, 0, 1), blurred_back


def _floats(image: Image.Image) -> Floats:
    values: Floats = np.asarray(image).astype(np.float32) / np.float32(255)
    return values


def _shade(colour: tuple[int, int, int], draws: Draws) -> tuple[int, int, int]:
    """Nearly the colour: no two backdrops of a name are quite the same."""
    red, green, blue = (min(255, max(0, value + draws.integer(17) - 8)) for value in colour)
    return red, green, blue


def _gradient(colour: tuple[int, int, int], draws: Draws, width: int, height: int) -> Image.Image:
    """From lighter to darker than the colour, in a direction that is drawn."""
    angle = draws.uniform(0, 2 * np.pi)
    down, across = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    along = (np.sin(angle) * down + np.cos(angle) * across)[..., None]
    light = np.array(colour) * (1 - 0.45 * along) + 40 * along
    return Image.fromarray(np.clip(light, 0, 255).round().astype(np.uint8))


def _scene(name: str, seed: int, side: int) -> Image.Image:
    import skia

    canvas = Canvas(side)
    canvas.set_camera(skia.Matrix.Scale(side, side), side)
    draw_scene(canvas, name, Draws(seed, _STREAM))
    return Image.fromarray(np.ascontiguousarray(canvas.image[..., :3]))


def _middle_of(picture: Image.Image, width: int, height: int) -> Image.Image:
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def _shuffled(deck: Sequence[Backdrop], draws: Draws) -> list[Backdrop]:
    rest, shuffled = list(deck), []
    while rest:
        shuffled.append(rest.pop(draws.integer(len(rest))))
    return shuffled


def _words_of_picture(path: Path) -> str:
    text = path.with_suffix(".txt")
    if text.is_file():
        return " ".join(read_text(text).split())
    words = re.findall(r"[a-z]{3,}", path.stem.lower())
    return "" if not words or _NO_WORDS & set(words) else " ".join(words)


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"

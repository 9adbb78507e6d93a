"""What the user may say about the photos."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lapel.errors import UserError

BackdropKind = Literal["plain", "gradient", "scene"]


@dataclass
class PhotoSettings:
    """The photos of the garment."""

    garment_dir: Path
    """The garment folder: photos of one garment, with masks (photo.mask.png), captions (photo.txt) or a product feed
    (metadata.jsonl or metadata.csv) beside them where there are any."""

    class_word: str | None = None
    """What kind of garment it is, such as "t-shirt". By default read from garment.yaml, the folder's name or its
    dataset card, and "garment" where they do not tell."""

    trigger: str | None = None
    """The rare word that will stand for this garment in prompts. By default read from garment.yaml, else "ohwx", which
    is a single token of CLIP's that hardly any caption uses."""

    resolution: int | None = None
    """Training size in pixels: the side of a square photo; others get about the same area. By default the size that
    the base was trained at."""

    background: str = "white"
    """The plain colour behind transparent photos: a CSS name or #rrggbb. White is what shops use."""

    flip: bool = False
    """Also train on mirrored photos. Off, because it mirrors prints and buttons."""

    reader: str | None = None
    """Who reads views, places and attributes that nobody has told: tiny (for drawn garments), a model of open_clip
    (hf-hub:Marqo/marqo-fashionSigLIP, or a folder), or transformers' CLIP (hub id or folder). By default nobody:
    nothing is loaded unasked."""

    mask_model: str | None = None
    """A model that finds masks where no file or transparency gives them: rembg:NAME (rembg:u2net_cloth_seg), or by hub
    id or folder parser:PLACE (parser:mattmdjaga/segformer_b2_clothes) or sam:PLACE. By default none: nothing is loaded
    unasked."""

    backdrops: int = 0
    """On how many other backgrounds each photo with a trusted mask is put as well. None, until it is measured
    what they are worth (`scripts/evaluate.py backgrounds`)."""

    backdrop_kinds: list[BackdropKind] = field(default_factory=lambda: ["plain", "gradient"])
    """Of which kinds these backgrounds are: plain colours, gradients, or scenes that lapel draws itself, as
    `tiny` knows them. A base of photographs is better shown plain ones, or your own by `--backdrop_dir`."""

    backdrop_dir: Path | None = None
    """A folder of your own pictures to put the garment on, beside the other kinds. Captions take their words from
    `picture.txt`, or from a file name such as sunny-beach.jpg."""

    photo_share: float = 0.5
    """How often a photo that has backdrops is seen as it is (0 to 1)."""

    def __post_init__(self) -> None:
        from PIL import ImageColor

        problems = []
        if self.resolution is not None and self.resolution < 32:
            problems.append(f"--resolution {self.resolution}: too small; take at least 32 pixels")
        try:
            ImageColor.getrgb(self.background)
        except ValueError:
            problems.append(f"--background {self.background!r}: not a colour; take a CSS name or #rrggbb")
        for name in ("class_word", "trigger"):
            value = getattr(self, name)
            if value is not None and not value.strip():
                problems.append(f"--{name} is empty; give a word, or leave the setting out")
        if self.backdrops < 0:
            problems.append(f"--backdrops {self.backdrops}: give a number of backgrounds, or 0 for none")
        if self.backdrops and not self.all_backdrop_kinds:
            problems.append("--backdrop_kinds is empty; name a kind, or give --backdrops 0")
        if not 0 <= self.photo_share <= 1:
            problems.append(f"--photo_share {self.photo_share}: give a number from 0 to 1")
        if self.backdrop_dir is not None and not self.backdrop_dir.is_dir():
            problems.append(f"{self.backdrop_dir}: no such folder; --backdrop_dir takes a folder of pictures")
        if problems:
            raise UserError(*problems)

    @property
    def all_backdrop_kinds(self) -> list[str]:
        """The kinds of backdrops in the order in which they take turns, each once."""
        return list(dict.fromkeys([*self.backdrop_kinds, *(["folder"] if self.backdrop_dir else [])]))

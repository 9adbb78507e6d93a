"""What the user may say about the photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lapel.errors import UserError


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
        if problems:
            raise UserError(*problems)

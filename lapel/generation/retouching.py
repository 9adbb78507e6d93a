"""What is asked of putting a drawn garment right by its photos, and told of it; `lapel.fidelity.retouch` does it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from lapel.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

Colour = Literal["off", "auto", "strict"]
Print = Literal["off", "auto", "always"]


@dataclass
class RetouchSettings:
    """What is put right, by which photos."""

    colour: Colour = "off"
    """Bring the garment's colours to those of its photos: `auto` where they are visibly off, `strict` always."""

    print: Print = "off"
    """Put the words that are printed on the garment in its photo onto it, bent as the pose is: `auto` where OCR reads
    them no more, `always` in any case. Takes the extra `ocr`."""

    true_photo: list[Path] = field(default_factory=list)
    """Photos that tell the colours, and, the first of them, laid flat, print and sketch; unless given, those that the
    encoder is shown."""

    @property
    def any(self) -> bool:
        """Whether anything is to be done."""
        return self.colour != "off" or self.print != "off"


class Retouching(Protocol):
    """Puts an image right where a mask (mode L) says that anything was drawn."""

    def __call__(self, image: Image.Image, mask: Image.Image) -> tuple[Image.Image, dict[str, Any]]:
        """The image, and what was measured: empty where nothing was to be done."""
        ...


def require_photos(settings: RetouchSettings, photos: list[Path]) -> None:
    """Refuse to put right what no photo shows.

    Raises:
        UserError: there is none.
    """
    if settings.any and not photos:
        raise UserError("--colour and --print go by the garment's photos: give --true_photo")


def words(told: dict[str, Any]) -> str:
    """What was measured, for people: `delta E 9.1 before, 1.2 after; SUN: 67 % wrong before, 0 % after`."""
    parts = []
    if "colour" in told:
        parts.append("delta E {before:.1f} before, {after:.1f} after".format(**told["colour"]))
    if "print" in told:
        parts.append("print {words}: {before:.0%} of it wrong before, {after:.0%} after".format(**told["print"]))
    return "; ".join(parts)

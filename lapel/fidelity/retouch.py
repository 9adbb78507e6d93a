"""What is put right in a drawn garment by its photos: its colours, and its print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.errors import UserError
from lapel.generation.retouching import RetouchSettings, require_photos

if TYPE_CHECKING:
    from PIL import Image

    from lapel.fidelity.colour import Palette
    from lapel.fidelity.lettering import TextReader
    from lapel.fidelity.reprint import Printed
    from lapel.photos.people.pose import Pose
    from lapel.photos.people.shape import Body, Shape


class Retouch:
    """Puts drawn garments right.

    Args:
        photos: of the garment.
        class_word: what it is.
        pose: of the person; a print needs it.
        shape: of the garment on the person.

    Raises:
        UserError: photos or a pose that are missing, or no words on the garment.
    """

    def __init__(
        self, settings: RetouchSettings, photos: list[Path], class_word: str, pose: Pose | None, shape: Shape
    ) -> None:
        from lapel.photos.people.shape import body_of

        self.settings, self.class_word, self.shape = settings, class_word, shape
        self.palette: Palette | None = None
        self.printed: Printed | None = None
        body = body_of(pose) if pose else None
        require_photos(settings, photos)
        if settings.colour != "off":
            self.palette = _palette(photos, class_word)
        if settings.print != "off":
            if body is None:
                raise UserError("--print bends the print as the person stands: give --pose, with the shoulders in it")
            self.body: Body = body
            self.reader, self.printed = _print(photos[0], class_word, shape)

    def __call__(self, image: Image.Image, mask: Image.Image) -> tuple[Image.Image, dict[str, Any]]:
        """An image put right within a mask (mode L), and what was measured: empty where nothing was to be done."""
        import numpy as np
        from PIL import Image

        from lapel.fidelity import garment_region
        from lapel.fidelity.recolour import recolour
        from lapel.fidelity.reprint import reprint

        if not self.settings.any:
            return image, {}
        pixels = np.asarray(image)
        told: dict[str, Any] = {}
        region = garment_region(pixels, self.class_word, "worn") & (np.asarray(mask) > 0)
        if not region.any():
            print("the garment is not found in an image, which stays as it is drawn", file=sys.stderr)
            return image, {}
        if self.palette is not None:
            coloured = recolour(pixels, region, self.palette, self.settings.colour)
            pixels = coloured.image
            told["colour"] = {"before": coloured.before.mean, "after": coloured.after.mean}
        if self.printed is not None:
            put_on = reprint(pixels, region, self.printed, self.body, self.shape, self.settings.print, self.reader)
            pixels = put_on.image
            told["print"] = {"words": put_on.words, "before": put_on.before, "after": put_on.after}
        return Image.fromarray(pixels), told


def _palette(files: list[Path], class_word: str) -> Palette:
    import numpy as np

    from lapel.fidelity import dominant_colours
    from lapel.generation.shown import garment_in

    found = [garment_in(path, class_word) for path in files]
    return dominant_colours(*zip(*((np.asarray(photo), np.asarray(mask)) for photo, mask in found), strict=True))


def _print(file: Path, class_word: str, shape: Shape) -> tuple[TextReader, Printed]:
    import numpy as np

    from lapel.fidelity.lettering import TextReader
    from lapel.fidelity.reprint import find_print
    from lapel.generation.shown import garment_in

    reader = TextReader()
    photo, mask = garment_in(file, class_word)
    printed = find_print(np.asarray(photo), np.asarray(mask) >= 128, shape, reader)
    if printed is None:
        raise UserError(f"{file}: no words are read on the garment; give a sharper photo, or leave --print out")
    return reader, printed

"""Contact sheets: a labelled grid of pictures, to look at many at once."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_GAP = 6
_INK = (32, 32, 32)
_PAPER = (255, 255, 255)
_FONT_SIZE = 13
_LINE = 16
_LABEL_WIDTH = 150


def _wrapped(text: str, width: int) -> list[str]:
    # Seven pixels hold an average letter of the default font at this size.
    return [piece for line in text.splitlines() for piece in textwrap.wrap(line, max(width // 7, 4))]


def contact_sheet(
    rows: Sequence[Sequence[Image.Image]],
    row_labels: Sequence[str],
    column_labels: Sequence[str] = (),
    title: str = "",
) -> Image.Image:
    """Lay out `rows` of pictures on white, a label left of each row and above each column.

    Every cell has the size of the largest picture, and the height that the longest label needs; a smaller picture is
    centred in its cell and never resized. Rows may differ in length, and labels wrap. Returns an RGB image.
    """
    pictures = [picture for row in rows for picture in row]
    cell_width = max((picture.width for picture in pictures), default=1)
    sides = [_wrapped(label, _LABEL_WIDTH) for label in row_labels]
    cell_height = max([1, *(picture.height for picture in pictures), *(_LINE * len(side) for side in sides)])
    columns = max((len(row) for row in rows), default=0)
    left = _LABEL_WIDTH + _GAP if any(row_labels) else _GAP
    width = left + columns * (cell_width + _GAP)

    titles = _wrapped(title, width - 2 * _GAP)
    heads = [_wrapped(label, cell_width) for label in column_labels]
    head_top = _GAP + _LINE * len(titles)
    top = head_top + _LINE * max((len(head) for head in heads), default=0) + _GAP
    sheet = Image.new("RGB", (width, top + len(rows) * (cell_height + _GAP)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)

    draw.multiline_text((_GAP, _GAP), "\n".join(titles), _INK, font, spacing=2)
    for column, head in enumerate(heads):
        draw.multiline_text((left + column * (cell_width + _GAP), head_top), "\n".join(head), _INK, font, spacing=2)
    for index, (row, side) in enumerate(zip(rows, sides, strict=True)):
        y = top + index * (cell_height + _GAP)
        draw.multiline_text((_GAP, y), "\n".join(side), _INK, font, spacing=2)
        for column, picture in enumerate(row):
            x = left + column * (cell_width + _GAP)
            offset = ((cell_width - picture.width) // 2, (cell_height - picture.height) // 2)
            sheet.paste(picture.convert("RGB"), (x + offset[0], y + offset[1]))
    return sheet

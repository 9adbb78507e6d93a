"""Printed text, read back by OCR (RapidOCR, whose wheel carries its models): the optional extra `ocr`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lapel.errors import UserError

_SIDE = 512
"""Pixels of the longer side of what is read: small letters are enlarged, for it was trained on large ones."""

_SURE = 0.5
"""Of a line of text; below, folds are read as letters."""


@dataclass(frozen=True)
class Line:
    """A line of text."""

    words: str
    """In capitals."""
    corners: npt.NDArray[np.float64]
    """(4, 2): x and y in the image's pixels, clockwise from the upper left."""

    @property
    def height(self) -> float:
        """Of the letters, in pixels."""
        return float(np.linalg.norm(self.corners[3] - self.corners[0]))


class TextReader:
    """Reads what is written on garments; about a third of a second an image on one core."""

    def __init__(self) -> None:
        """Load the models.

        Raises:
            UserError: the extra is not installed.
        """
        try:
            from rapidocr_onnxruntime import RapidOCR
        except ImportError:
            raise UserError('reading prints takes an extra: pip install "lapel[ocr]"') from None
        self._engine: Any = RapidOCR(intra_op_num_threads=1)

    def read(self, image: npt.NDArray[np.uint8], region: npt.NDArray[np.bool_]) -> str:
        """The words inside a region (h, w) of an sRGB image (h, w, 3) uint8, in capitals, by spaces; "" for none."""
        return " ".join(line.words for line in self.lines(image, region))

    def lines(self, image: npt.NDArray[np.uint8], region: npt.NDArray[np.bool_]) -> list[Line]:
        """The lines of text inside a region, as `read` looks at it."""
        import cv2

        rows, columns = np.nonzero(region)
        part = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        scale = max(1.0, _SIDE / max(part.shape[:2]))
        large = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        lines, _ = self._engine(np.ascontiguousarray(large[..., ::-1]))
        corner = np.array([columns.min(), rows.min()])
        return [
            Line(str(text).upper(), np.asarray(box, np.float64) / scale + corner)
            for box, text, sure in lines or []
            if float(sure) >= _SURE
        ]


def character_error_rate(read: str, printed: str) -> float:
    """Characters to insert, delete or replace, as a share of those printed: 0 right, 1 nothing right; 1 at most.

    Raises:
        ValueError: nothing is printed.
    """
    from rapidfuzz.distance import Levenshtein

    if not printed:
        raise ValueError("nothing is printed")
    return min(1.0, Levenshtein.distance(read.upper(), printed.upper()) / len(printed))

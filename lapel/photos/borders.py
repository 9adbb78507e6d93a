"""Borders and letterbox bars that were put around a photo, which an adapter would learn with the garment."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

_EVEN = 8
"""Levels that a bar's pixels may lie from its colour: what JPEG leaves."""
_STEP = 24
"""Levels at the bar's inner edge, of at least half its length: the soft end of a studio's light is no edge."""
_BLEND = 2
"""Pixels in which resizing has mixed bar and picture."""
_DEEPEST = 0.4
_FRAME = 0.15
"""Of the photo's sides. What stands further in, all around, is a plain background with something square on it."""


def border_of(photo: Pixels) -> tuple[int, int, int, int]:
    """How many pixels of a photo (h, w, 3) are border: left, top, right, bottom.

    Only sides that lie opposite each other count, or a floor or a wall would: bars above and below, or at both sides,
    or a frame all around.
    """
    top, bottom = _bars(photo)
    left, right = _bars(photo[top : len(photo) - bottom].swapaxes(0, 1))
    height, width = photo.shape[:2]
    if top and left and max(top / height, bottom / height, left / width, right / width) > _FRAME:
        return 0, 0, 0, 0
    return left, top, right, bottom


def _bars(photo: Pixels) -> tuple[int, int]:
    """Rows of a bar at the top and of one at the bottom; 0 where they are not both there."""
    top, bottom = _depth(photo), _depth(photo[::-1])
    return (top, bottom) if top and bottom else (0, 0)


def _depth(photo: Pixels) -> int:
    """Rows of one even colour from the top, if they end at a hard edge; otherwise 0."""
    most = int(_DEEPEST * len(photo))
    colour = np.median(photo[0], axis=0)
    off = np.abs(photo[: most + _BLEND + 1].astype(np.int16) - colour).max(axis=2)
    even = (off <= _EVEN).mean(axis=1) >= 0.98
    depth = int(np.argmin(even)) if not even.all() else 0
    if not 0 < depth <= most:
        return 0
    beyond = off[min(depth + _BLEND, len(off) - 1)]
    return depth if (beyond >= _STEP).mean() >= 0.5 else 0

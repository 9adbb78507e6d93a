"""Where a photo shows a person's bare skin, by their pose."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from lapel.photos.masks.colours import to_lab
from lapel.photos.people.pose import Point, Pose
from lapel.photos.people.shape import Body, Bools

_BARE = 0.08
"""Of the shoulders' width: the radius of a disc, around the nose or in a hand, that shows nothing but skin."""
_FOREARM = np.linspace(0.2, 0.7, 9)
"""From the elbow to the wrist: where neither a short sleeve nor a hand is."""
_OTHER = 8.0
"""Delta E 2000 from the face beyond which a forearm is not bare. Those of drawn people are at most 2.2 from it, 97 % of
their covered ones further than this; those of real people, in the shade, are at most 7.7 from it."""


def bare(points: Sequence[Point], body: Body, size: tuple[int, int]) -> Bools:
    """(h, w) discs around these points of face or hands, which show nothing but skin, in a picture of that size."""
    discs = np.zeros(size[::-1], np.uint8)
    for x, y in points:
        cv2.circle(discs, (round(x), round(y)), max(1, round(_BARE * body.unit)), 1, -1)
    found: Bools = discs > 0
    return found


def wears_long_sleeves(photo: Image.Image, pose: Pose, body: Body) -> bool:
    """Whether a forearm is seen that has another colour than the face, in light or shade; sleeves come in pairs.

    False where the nose or both forearms are not known, or not in the photo.
    """
    from skimage.color import deltaE_ciede2000

    nose = pose.get("nose")
    at_nose = bare([nose] if nose else [], body, photo.size)
    if not at_nose.any():
        return False
    lab = to_lab(np.asarray(photo))
    face = np.median(lab[at_nose], axis=0, keepdims=True)
    forearms = [lab[seen[:, 1], seen[:, 0]] for arm in body.arms if len(seen := _seen(arm, photo.size))]
    # Lightness counts half, as CIE has it for cloth, for an arm may be in the shade.
    return any(np.median(deltaE_ciede2000(forearm, face, kL=2)) > _OTHER for forearm in forearms)


def _seen(arm: Sequence[Point], size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """(n, 2) x and y of pixels along the forearm, as far as it is known and in the picture."""
    if len(arm) < 3:
        return np.zeros((0, 2), np.int64)
    elbow, wrist = np.array(arm[1]), np.array(arm[2])
    points = (elbow + _FOREARM[:, None] * (wrist - elbow)).round().astype(np.int64)
    inside: npt.NDArray[np.int64] = points[((points >= 0) & (points < size)).all(axis=1)]
    return inside

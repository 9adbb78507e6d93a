"""A library of standing poses, seen from the front."""

from __future__ import annotations

import difflib

import numpy as np

from lapel.errors import UserError
from lapel.photos.people.pose import Pose
from lapel.wardrobe.body import Pose as Angles
from lapel.wardrobe.body import pose_body

Limb = tuple[float, float]

_SIDE, _OUT, _HIP, _UP = (11.0, 8.0), (92.0, 92.0), (46.0, -54.0), (155.0, 165.0)
_STAND: tuple[Limb, Limb] = (4.0, 2.0), (4.0, 2.0)
_WIDE: tuple[Limb, Limb] = (17.0, 14.0), (17.0, 14.0)
_WALK: tuple[Limb, Limb] = (13.0, 3.0), (1.0, -6.0)


def _angles(right: Limb, left: Limb, legs: tuple[Limb, Limb] = _STAND) -> Angles:
    return Angles(right, left, *legs)


POSES: dict[str, Angles] = {
    "standing": _angles(_SIDE, _SIDE),
    "relaxed": _angles((18, 24), (14, 8), ((3, 1), (12, 2))),
    "a-pose": _angles((45, 45), (45, 45)),
    "t-pose": _angles(_OUT, _OUT),
    "hands-on-hips": _angles(_HIP, _HIP),
    "right-hand-on-hip": _angles(_HIP, _SIDE),
    "left-hand-on-hip": _angles(_SIDE, _HIP),
    "hand-on-hip-arm-out": _angles(_HIP, _OUT),
    "arms-raised": _angles(_UP, _UP),
    "right-arm-raised": _angles(_UP, _SIDE),
    "left-arm-raised": _angles(_SIDE, _UP),
    "right-arm-out": _angles(_OUT, _SIDE),
    "left-arm-out": _angles(_SIDE, _OUT),
    "waving-right": _angles((75, 165), _SIDE),
    "waving-left": _angles(_SIDE, (75, 165)),
    "hands-up": _angles((70, 170), (70, 170)),
    "flexing": _angles((92, 178), (92, 178)),
    "shrugging": _angles((28, 105), (28, 105)),
    "arms-crossed": _angles((16, -98), (16, -104)),
    "right-arm-across": _angles((14, -92), _SIDE),
    "left-arm-across": _angles(_SIDE, (14, -92)),
    "wide-stance": _angles((24, 20), (24, 20), _WIDE),
    "star": _angles((122, 122), (122, 122), ((24, 24), (24, 24))),
    "power": _angles(_HIP, _HIP, _WIDE),
    "walking": _angles((20, 12), (6, -4), _WALK),
    "walking-wave": _angles((75, 165), (10, 4), _WALK),
}
"""By name: the angles of each limb's two parts from hanging straight down, outwards positive."""

FRAMES = {"full": (-0.19, 0.86), "half": (-0.19, 0.42), "legs": (0.12, 0.86)}
"""What of a person is seen: from and down to where, in heights of a person below the neck."""

_MARGIN = 0.08
"""Of the picture, above and below."""


def library_pose(name: str, size: tuple[int, int]) -> Pose:
    """A pose of the library in a picture of that size (width, height).

    Args:
        name: of `POSES`, with `@half` or `@legs` for what is seen of it; all of the person unless told.

    Raises:
        UserError: a name that is not known; names the nearest.
    """
    pose, _, frame = name.partition("@")
    frame = frame or "full"
    for given, known in ((pose, POSES), (frame, FRAMES)):
        if given not in known:
            nearest = difflib.get_close_matches(given, known, n=1, cutoff=0.0)[0]
            raise UserError(f"pose:{name}: {given!r} is not known; the nearest is {nearest!r} (of {', '.join(known)})")
    top, bottom = FRAMES[frame]
    points = np.array(pose_body(POSES[pose]).keypoints(), np.float32)
    width, height = size
    scale = (1 - 2 * _MARGIN) * height / (bottom - top)
    # Arms that reach out of a narrow picture make the person smaller.
    scale = min(scale, (1 - 2 * _MARGIN) * width / max(float(np.ptp(points[:, 0])), 1e-6))
    x = width / 2 + points[:, 0] * scale
    y = height / 2 + (points[:, 1] - (top + bottom) / 2) * scale
    seen = ((x >= 0) & (x < width) & (y >= 0) & (y < height)).astype(np.float32)
    return Pose(np.stack([x * seen, y * seen, seen], axis=1), size)

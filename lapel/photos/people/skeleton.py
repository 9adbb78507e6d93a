"""Reads a skeleton in OpenPose's colours back into keypoints, lapel's own maps exactly, other programs' nearly so."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from lapel.photos.people.pose import COLOURS, Pose
from lapel.wardrobe import KEYPOINTS

Bools = npt.NDArray[np.bool_]

_NEAR = 24
"""Levels of 255 by which a colour may differ in each channel, after a JPEG: joints and limbs are further apart."""

_DARK = 40
"""Levels of 255: what is not brighter is the background."""


def is_skeleton(drawn: Image.Image) -> bool:
    """Whether a picture is mostly black, and has a joint's colour somewhere."""
    pixels = np.asarray(drawn.convert("RGB"))
    return bool((pixels.max(axis=2) < _DARK).mean() > 0.5 and (_joints(pixels) >= 0).any())


def people_in(drawn: Image.Image) -> int:
    """How many people a skeleton map shows at least: as many as most joints have places that are far apart."""
    numbers = _joints(np.asarray(drawn.convert("RGB")))
    radius = _radius(numbers)
    counts = [_places(numbers == number, radius) for number in range(len(KEYPOINTS)) if (numbers == number).any()]
    return round(float(np.median(counts))) if counts else 0


def read_map(drawn: Image.Image) -> Pose:
    """The pose of a map, as far as it is seen.

    Each joint is the disc that explains best what is seen of its colour, where later joints, which are drawn over it,
    may hide a part; so what `draw_pose` drew of whole pixels comes back as it was. One that is covered is lost.
    """
    numbers = _joints(np.asarray(drawn.convert("RGB")))
    radius = _radius(numbers)
    points = np.zeros((len(KEYPOINTS), 3), np.float32)
    for number in range(len(KEYPOINTS)):
        if (numbers == number).any():
            points[number] = (*_disc(numbers == number, numbers > number, radius), 1)
    return Pose(points, drawn.size)


def _joints(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
    """(h, w) the number of the joint whose colour a pixel has, or -1."""
    found = np.full(pixels.shape[:2], -1, np.int8)
    bright = pixels.max(axis=2) >= _DARK
    away = np.abs(pixels[bright].astype(np.int16)[:, None] - np.array(COLOURS)).max(axis=2)
    found[bright] = np.where(away.min(axis=1) <= _NEAR, away.argmin(axis=1), -1)
    return found


def _radius(numbers: npt.NDArray[np.int8]) -> int:
    """Of the joints, in pixels: of most of them all is seen."""
    sides = [max(_largest(numbers == number)[1]) for number in range(len(KEYPOINTS)) if (numbers == number).any()]
    return max(1, round((float(np.percentile(sides, 75)) - 1) / 2)) if sides else 1


def _largest(seen: Bools) -> tuple[Bools, tuple[int, int]]:
    """The largest connected part, and its width and height."""
    rows, columns = np.nonzero(seen)
    window = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(seen[window].astype(np.uint8), connectivity=8)
    best = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    part = np.zeros_like(seen)
    part[window] = labels == best
    return part, (int(stats[best, cv2.CC_STAT_WIDTH]), int(stats[best, cv2.CC_STAT_HEIGHT]))


def _places(seen: Bools, radius: int) -> int:
    """How many separate places a colour is seen in; what lies within two discs of each other is one."""
    reach = 4 * radius + 1
    joined = cv2.dilate(seen.astype(np.uint8), np.ones((reach, reach), np.uint8))
    return cv2.connectedComponents(joined)[0] - 1


def _disc(seen: Bools, over: Bools, radius: int) -> tuple[float, float]:
    """The middle (x, y) of the disc of which `seen` is what is not hidden by what is drawn `over` it."""
    rows, columns = np.nonzero(seen)
    if max(np.ptp(rows), np.ptp(columns)) > 2 * radius:  # stray pixels, or a larger disc
        rows, columns = np.nonzero(_largest(seen)[0])
    template = np.zeros((2 * radius + 1,) * 2, np.uint8)
    cv2.circle(template, (radius, radius), radius, 1, -1)
    down, across = (part - radius for part in np.nonzero(template))
    best: list[tuple[int, int]] = []
    least, explained = np.inf, seen | over
    middles = (rows.mean(), columns.mean())
    for y in _span(rows, radius):
        for x in _span(columns, radius):
            offsets = (rows - y + radius, columns - x + radius)
            within = ((offsets[0] >= 0) & (offsets[0] <= 2 * radius)) & ((offsets[1] >= 0) & (offsets[1] <= 2 * radius))
            missed = (~within).sum() + (template[offsets[0][within], offsets[1][within]] == 0).sum()
            v, u = down + y, across + x
            real = (v >= 0) & (v < seen.shape[0]) & (u >= 0) & (u < seen.shape[1])
            empty = (~explained[v[real], u[real]]).sum()
            if missed + empty < least:
                best, least = [], missed + empty
            if missed + empty == least:
                best.append((x, y))
    return min(best, key=lambda place: abs(place[0] - middles[1]) + abs(place[1] - middles[0]))


def _span(places: npt.NDArray[np.intp], radius: int) -> range:
    """Where a disc's middle may be along one side, for all of it to be within."""
    low, high = int(places.max()) - radius, int(places.min()) + radius
    return range(min(low, high), max(low, high) + 1)

"""Poses: 18 keypoints of COCO as OpenPose writes them, as JSON and as the coloured map that ControlNets read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from lapel.errors import UserError
from lapel.files import written_whole
from lapel.wardrobe import KEYPOINTS

Points = npt.NDArray[np.float32]
Point = tuple[float, float]

LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
    *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
"""Pairs of keypoints that OpenPose joins, in its order."""

COLOURS = (
    *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0)),
    *((0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255)),
    *((170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
)
"""RGB of each keypoint; a limb has its first ones' at 60 %, in the limbs' order."""

NAMED = "pose:"
"""What the name of a pose of the library begins with, where a file could stand."""

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
"""Suffixes of skeleton maps, where a pose could be JSON."""

_LIMB_SHADE = 0.6
_STICK, _JOINT = 4 / 512, 4 / 512
"""Half a limb's width and a joint's radius, as shares of the map's shorter side: what ControlNets were trained on."""


@dataclass(frozen=True)
class Pose:
    """One person: `points` (18, 3) are x and y in pixels and a confidence, 0 where the point is not known."""

    points: Points
    size: tuple[int, int]
    """Width and height of the picture that the points lie in."""

    def get(self, name: str) -> Point | None:
        """A keypoint of `KEYPOINTS` in pixels, where it is known."""
        x, y, sure = self.points[KEYPOINTS.index(name)]
        return (float(x), float(y)) if sure > 0 else None

    def scaled(self, size: tuple[int, int]) -> Pose:
        """The pose in a picture of another size."""
        factors = np.array([size[0] / self.size[0], size[1] / self.size[1], 1], np.float32)
        return Pose(self.points * factors, size)


def is_named(path: Path) -> bool:
    """Whether it stands for a pose of the library."""
    return str(path).startswith(NAMED)


def read_pose(path: Path, size: tuple[int, int]) -> Pose:
    """The first person of an OpenPose JSON file, in a picture of that size (width, height).

    `pose:NAME` stands for one of `lapel.photos.people.library`; a picture is a skeleton in OpenPose's colours, which is
    read back. Where the file tells the size of its canvas, the points
    are brought from there; coordinates of 0 to 1 are shares.

    Raises:
        UserError: a file that is missing, of another format, or shows nobody or only a part of nobody.
    """
    if is_named(path):
        from lapel.photos.people.library import library_pose

        return library_pose(str(path).removeprefix(NAMED), size)
    if not path.is_file():
        raise UserError(f"{path}: no such pose; give OpenPose's JSON of 18 COCO keypoints, or {NAMED}standing")
    if path.suffix.lower() in PICTURES:
        return _skeleton(path).scaled(size)
    try:
        told = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        raise UserError(f"{path}: not JSON; give OpenPose's JSON of 18 COCO keypoints") from None
    told = told[0] if isinstance(told, list) and told else told
    people = told.get("people") if isinstance(told, Mapping) else None
    if not isinstance(people, list):
        raise UserError(f"{path}: not OpenPose's format: it has no people; give JSON of 18 COCO keypoints")
    if not people:
        raise UserError(f"{path}: shows nobody; give a pose with a person, or a mask")
    points = _points(path, people[0])
    canvas = _canvas(path, told)
    if canvas is None:
        known = points[points[:, 2] > 0, :2]
        canvas = (1.0, 1.0) if known.size and known.max() <= 1 else (float(size[0]), float(size[1]))
    factors = np.array([size[0] / canvas[0], size[1] / canvas[1], 1], np.float32)
    return Pose(points * factors, size)


def _skeleton(path: Path) -> Pose:
    from lapel.photos.people.skeleton import is_skeleton, people_in, read_map

    try:
        with Image.open(path) as opened:
            drawn = opened.convert("RGB")
    except OSError:
        raise UserError(f"{path}: not a picture; give OpenPose's JSON, or a skeleton in its colours") from None
    if not is_skeleton(drawn):
        raise UserError(f"{path}: no skeleton in OpenPose's colours; for a photo give {NAMED}{path} and --pose_model")
    if (count := people_in(drawn)) > 1:
        raise UserError(f"{path}: shows {count} people; give a skeleton of one")
    return read_map(drawn)


def _points(path: Path, person: Any) -> Points:
    numbers = person.get("pose_keypoints_2d") if isinstance(person, Mapping) else None
    try:
        points = np.asarray(numbers, np.float32)
    except (TypeError, ValueError):
        points = np.zeros(0, np.float32)
    if points.shape == (3 * 25,):
        raise UserError(f"{path}: has OpenPose's 25 body keypoints; export it with COCO's 18 (model_pose COCO)")
    if points.shape != (3 * len(KEYPOINTS),) or not np.isfinite(points).all():
        raise UserError(f"{path}: pose_keypoints_2d must have 54 numbers: x, y and confidence of 18 keypoints")
    points = points.reshape(-1, 3)
    points[(points[:, :2] == 0).all(axis=1)] = 0  # OpenPose's way to say that a point was not found
    if not (points[:, 2] > 0).any():
        raise UserError(f"{path}: no keypoint is known; give a pose with a person, or a mask")
    return points


def _canvas(path: Path, told: Mapping[str, Any]) -> tuple[float, float] | None:
    width, height = (told.get(f"canvas_{side}") for side in ("width", "height"))
    if width is None and height is None:
        return None
    if not all(isinstance(side, int | float) and side > 0 for side in (width, height)):
        raise UserError(f"{path}: canvas_width and canvas_height must be positive numbers")
    return float(str(width)), float(str(height))


def write_pose(pose: Pose, path: Path) -> None:
    """Write a pose as `read_pose` and pose editors read it."""
    person = {"pose_keypoints_2d": [round(float(number), 3) for number in pose.points.flatten()]}
    told = {"people": [person], "canvas_width": pose.size[0], "canvas_height": pose.size[1]}
    with written_whole(path) as unfinished:
        unfinished.write_text(json.dumps(told) + "\n", encoding="utf-8")


def draw_pose(pose: Pose) -> Image.Image:
    """The map in OpenPose's colours on black, RGB, of the pose's size: what ControlNets were trained on."""
    width, height = pose.size
    canvas = np.zeros((height, width, 3), np.uint8)
    short = min(width, height)
    half, radius = max(1, round(_STICK * short)), max(1, round(_JOINT * short))
    known = pose.points[:, 2] > 0
    for (start, end), colour in zip(LIMBS, COLOURS, strict=False):
        if known[start] and known[end]:
            (x, y), (u, v) = pose.points[start, :2], pose.points[end, :2]
            middle = (round(float(x + u) / 2), round(float(y + v) / 2))
            axes = (max(1, round(math.hypot(u - x, v - y) / 2)), half)
            angle = round(math.degrees(math.atan2(v - y, u - x)))
            shade = [round(_LIMB_SHADE * part) for part in colour]
            cv2.fillConvexPoly(canvas, cv2.ellipse2Poly(middle, axes, angle, 0, 360, 1), shade)
    for (x, y, sure), colour in zip(pose.points, COLOURS, strict=True):
        if sure > 0:
            cv2.circle(canvas, (round(float(x)), round(float(y))), radius, colour, -1)
    return Image.fromarray(canvas)

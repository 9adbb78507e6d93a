"""A parsing map from a pose and clothes: the wardrobe's own drawing of people, put where the pose's joints are."""

from __future__ import annotations

import math

import numpy as np
import skia

from lapel.errors import UserError
from lapel.photos.people.parsing import Classes
from lapel.photos.people.pose import Point, Pose
from lapel.photos.people.shape import Body, body_of
from lapel.wardrobe import KEYPOINTS, Clothes, draw_parsing
from lapel.wardrobe.body import FOREARM, THIGH, UPPER_ARM, Skeleton

_SHOULDERS_DOWN = 0.04
_TORSO = 0.27
"""In the wardrobe's bodies: shoulders below the neck's root, and hips below the shoulders, in heights of a person."""
_WIDEST, _SHOULDER, _NARROWEST = 0.115, 0.098, 0.05
"""Half the width of shoulders: the widest that bodies have, the usual one, and what is drawn of one from the side."""


def parsing_of(pose: Pose, clothes: Clothes, hair_style: str = "short") -> Classes:
    """(h, w) classes of `PARSING`: a person in that pose, in those clothes, drawn as seen from the front.

    Limbs follow the pose's joints; those that it does not know hang down.

    Raises:
        UserError: the pose shows no shoulders.
    """
    body = body_of(_with_shoulders(pose))
    if body is None:
        raise UserError("the pose shows neither shoulders nor hips and knees, which clothes hang on; give another pose")
    skeleton, matrix = _placed(body)
    width, height = pose.size
    drawn = draw_parsing(clothes, skeleton, hair_style, matrix, max(width, height))
    return np.ascontiguousarray(drawn[:height, :width])


def _with_shoulders(pose: Pose) -> Pose:
    """Where the picture begins below the shoulders, the pose with them above the hips, as a body has them."""
    known = {name: pose.get(name) for name in ("right hip", "left hip", "right knee", "left knee")}
    joints = [point for point in known.values() if point is not None]
    if pose.get("right shoulder") or pose.get("left shoulder") or len(joints) < len(known):
        return pose
    right, left, *knees = joints
    x, y = _middle(right, left)
    unit = math.dist((x, y), _middle(*knees)) / THIGH
    out = math.copysign(_SHOULDER * unit, left[0] - right[0])
    points = pose.points.copy()
    for name, sign in (("right shoulder", -1), ("left shoulder", 1)):
        points[KEYPOINTS.index(name)] = x + sign * out, y - _TORSO * unit, 1
    return Pose(points, pose.size)


def _placed(body: Body) -> tuple[Skeleton, skia.Matrix]:
    """The body in heights of a person, its neck's root at the origin, upright; and the way back to pixels."""
    arms, legs = body.arms, body.legs
    shoulders, hips = (_middle(side[0][0], side[1][0]) for side in (arms, legs))
    across, torso = math.dist(arms[0][0], arms[1][0]), math.dist(shoulders, hips)
    scale = max(torso / _TORSO, across / (2 * _WIDEST))
    lean = math.degrees(math.atan2(hips[1] - shoulders[1], hips[0] - shoulders[0])) - 90
    matrix = skia.Matrix.Translate(*shoulders).preConcat(skia.Matrix.RotateDeg(lean))
    matrix.preScale(scale, scale).preTranslate(0, -_SHOULDERS_DOWN)
    back = skia.Matrix()
    matrix.invert(back)

    def brought(joints: tuple[Point, ...]) -> tuple[Point, ...]:
        return tuple((point.x(), point.y()) for point in back.mapPoints([skia.Point(*joint) for joint in joints]))

    sides = [(brought(arm), brought(leg)) for arm, leg in zip(arms, legs, strict=True)]
    if sides[0][0][0][0] > sides[1][0][0][0]:
        sides.reverse()  # seen from the back; the wardrobe's right arm is on the left of the picture
    (right_arm, right_leg), (left_arm, left_leg) = sides
    skeleton = Skeleton(
        shoulder=max((left_arm[0][0] - right_arm[0][0]) / 2, _NARROWEST),
        hip=max((left_leg[0][0] - right_leg[0][0]) / 2, _NARROWEST / 2),
        right_arm=_whole(right_arm),
        left_arm=_whole(left_arm),
        right_leg=(right_leg[0], right_leg[1], right_leg[2]),
        left_leg=(left_leg[0], left_leg[1], left_leg[2]),
    )
    return skeleton, matrix


def _whole(arm: tuple[Point, ...]) -> tuple[Point, Point, Point]:
    """An arm with the joints that are not known hanging straight on."""
    shoulder = arm[0]
    elbow = arm[1] if len(arm) > 1 else (shoulder[0], shoulder[1] + UPPER_ARM)
    if len(arm) > 2:
        return shoulder, elbow, arm[2]
    longer = 1 + FOREARM / max(math.dist(shoulder, elbow), 1e-6)
    wrist = (shoulder[0] + (elbow[0] - shoulder[0]) * longer, shoulder[1] + (elbow[1] - shoulder[1]) * longer)
    return shoulder, elbow, wrist


def _middle(one: Point, other: Point) -> Point:
    return (one[0] + other[0]) / 2, (one[1] + other[1]) / 2

"""The body that clothes follow: a 2-D skeleton in a pose.

Lengths are in heights of a person; the neck is the origin, x goes right in the picture, y down. Angles are in degrees
from hanging straight down, outwards positive. A flat garment lies as on a body that nobody sees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lapel.wardrobe.vocabulary import KEYPOINTS

Point = tuple[float, float]

UPPER_ARM, FOREARM, THIGH, SHIN = 0.155, 0.145, 0.235, 0.235
HEAD = (0.0, -0.085)
HEAD_RADIUS = 0.056


@dataclass(frozen=True)
class Pose:
    """Angles of upper and lower limb, for each side of the person."""

    right_arm: tuple[float, float]
    left_arm: tuple[float, float]
    right_leg: tuple[float, float]
    left_leg: tuple[float, float]


FLAT_POSE = Pose((42, 38), (42, 38), (5, 4), (5, 4))
"""How a garment is laid out: sleeves spread, legs nearly straight."""


@dataclass(frozen=True)
class Skeleton:
    """Joints of a posed body. The person faces us: the right arm is on the left of the picture."""

    shoulder: float
    """Half the width of the shoulders."""
    hip: float
    """Half the width of the hips."""
    right_arm: tuple[Point, Point, Point]
    left_arm: tuple[Point, Point, Point]
    right_leg: tuple[Point, Point, Point]
    left_leg: tuple[Point, Point, Point]

    def keypoints(self) -> list[Point]:
        """The COCO-18 points."""
        x, y = HEAD
        face = {"nose": (x, y + 0.012), "neck": (0.0, 0.0)}
        for side, sign in (("right", -1), ("left", 1)):
            face[f"{side} eye"] = (x + sign * 0.02, y - 0.006)
            face[f"{side} ear"] = (x + sign * 0.052, y + 0.004)
        limbs = {
            "right shoulder": self.right_arm[0], "right elbow": self.right_arm[1], "right wrist": self.right_arm[2],
            "left shoulder": self.left_arm[0], "left elbow": self.left_arm[1], "left wrist": self.left_arm[2],
            "right hip": self.right_leg[0], "right knee": self.right_leg[1], "right ankle": self.right_leg[2],
            "left hip": self.left_leg[0], "left knee": self.left_leg[1], "left ankle": self.left_leg[2],
        }  # fmt: skip
        return [{**face, **limbs}[name] for name in KEYPOINTS]


def _limb(
    start: Point, sign: int, angles: tuple[float, float], lengths: tuple[float, float]
) -> tuple[Point, Point, Point]:
    first, second = (math.radians(angle) for angle in angles)
    middle = (start[0] + sign * lengths[0] * math.sin(first), start[1] + lengths[0] * math.cos(first))
    end = (middle[0] + sign * lengths[1] * math.sin(second), middle[1] + lengths[1] * math.cos(second))
    return start, middle, end


def pose_body(pose: Pose, build: float = 1.0) -> Skeleton:
    """Put a body of that build (1 is average) into a pose."""
    shoulder, hip = 0.098 * build, 0.052 * build
    arms, legs = (UPPER_ARM, FOREARM), (THIGH, SHIN)
    return Skeleton(
        shoulder=shoulder,
        hip=hip,
        right_arm=_limb((-shoulder, 0.04), -1, pose.right_arm, arms),
        left_arm=_limb((shoulder, 0.04), 1, pose.left_arm, arms),
        right_leg=_limb((-hip, 0.31), -1, pose.right_leg, legs),
        left_leg=_limb((hip, 0.31), 1, pose.left_leg, legs),
    )

"""Models that find people's poses in photos, each an optional library that is loaded only when it is named.

`rtmlib`, `rtmlib:MODE` (lightweight, balanced, performance) or `rtmlib:FILE.onnx` (RTMPose, RTMO), and
`mediapipe:FILE.task` (its pose landmarker).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lapel.errors import UserError
from lapel.photos.people.pose import NAMED, PICTURES, Pose, is_named, read_pose
from lapel.wardrobe import KEYPOINTS

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image

    People = npt.NDArray[np.float32]
    """(people, 18, 3): x, y in pixels, and trust."""

_MODES = ("lightweight", "balanced", "performance")
_INSTEAD = "give OpenPose's JSON, a skeleton map, or a pose of the library"
_HEAD = ("nose", "right eye", "left eye", "right ear", "left ear")
_LEAST_TRUST = 0.3
"""rtmlib's own; MediaPipe's visibility is another measure, and is held against another number."""
_LEAST_VISIBLE = 0.5
_LEAST_POINTS = 5
"""Of 18, for a person; models find a few in any picture."""


def photo_of(source: Path) -> Path | None:
    """The photo that `pose:IMAGE` names; None for anything else, a pose of the library among it."""
    name = Path(str(source).removeprefix(NAMED))
    return name if is_named(source) and (name.suffix.lower() in PICTURES or name.is_file()) else None


def find_pose(source: Path, size: tuple[int, int], model: str | None) -> Pose:
    """As `read_pose`; and of `pose:IMAGE` the pose of the person in a photo, by a model.

    A photo of another shape than `size` (width, height) lies whole in its middle.

    Raises:
        UserError: what `read_pose` refuses; a model that is not named or not there; a photo without a person or a head.
    """
    from lapel.photos.read import read_picture

    path = photo_of(source)
    if path is None:
        return read_pose(source, size)
    if not path.is_file():
        raise UserError(f"{source}: no such photo; give a photo of a person, or a pose of the library")
    if model is None:
        raise UserError(f"{source}: found by a model; give --pose_model, such as rtmlib, or {_INSTEAD[5:]}")
    photo = read_picture(path, "white").colour
    points = choose_person(load_pose_model(model)(photo), source)
    scale = min(size[0] / photo.width, size[1] / photo.height)
    seen = points[:, 2:] > 0
    middle = np.array([size[0] - scale * photo.width, size[1] - scale * photo.height], np.float32) / 2
    return Pose(np.concatenate([(points[:, :2] * scale + middle) * seen, points[:, 2:]], axis=1), size)


def choose_person(people: People, source: Path) -> npt.NDArray[np.float32]:
    """(18, 3) the largest person whom a model has found.

    Raises:
        UserError: nobody is found, or no head.
    """
    found = [person for person in people if (person[:, 2] > 0).sum() >= _LEAST_POINTS]
    if not found:
        raise UserError(f"{source}: no person is found in it; {_INSTEAD}")
    largest = max(found, key=lambda person: float(np.prod(np.ptp(person[person[:, 2] > 0, :2], axis=0))))
    if not any(largest[KEYPOINTS.index(name), 2] > 0 for name in _HEAD):
        raise UserError(f"{source}: no head is found in it; {_INSTEAD}")
    return largest


def load_pose_model(name: str) -> Callable[[Image.Image], People]:
    """The model of that name: from an RGB photo to the people in it.

    Raises:
        UserError: no such kind of model, or its library or weights are neither at hand nor to be had.
    """
    kind, _, place = name.partition(":")
    kinds = {"rtmlib": _rtmlib, "mediapipe": _mediapipe}
    if kind not in kinds or (kind == "mediapipe" and not place):
        raise UserError(f"--pose_model {name}: give rtmlib, rtmlib:MODE, rtmlib:FILE.onnx or mediapipe:FILE.task")
    if place and place not in _MODES and not Path(place).is_file():
        raise UserError(f"--pose_model {name}: no such file; {_INSTEAD}")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where programs print nothing but what they have written
            return kinds[kind](place)
    except ImportError as error:
        install = 'pip install "lapel[pose]"' if kind == "rtmlib" else "pip install mediapipe"
        raise UserError(f"--pose_model {name}: {error.name or kind} is not installed; {install}") from None
    except Exception as error:  # of onnxruntime, mediapipe and what downloads weights
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"--pose_model {name}: cannot be loaded ({reason}); {_INSTEAD}") from None


def _rtmlib(place: str) -> Callable[[Image.Image], People]:
    """RTMPose (Jiang et al., 2023) behind a detector, or a single file of it or of RTMO."""
    from rtmlib import RTMO, Body, RTMPose

    how = {"to_openpose": True, "backend": "onnxruntime", "device": "cpu"}
    if place in ("", *_MODES):
        model: Any = Body(mode=place or "balanced", **how)
    else:
        import onnxruntime

        session = onnxruntime.InferenceSession(place, providers=["CPUExecutionProvider"])
        height, width = session.get_inputs()[0].shape[2:]
        whole = len(session.get_outputs()[1].shape) == 4  # RTMO: keypoints of everybody; RTMPose: a row for each
        model = (
            RTMO(place, model_input_size=(height, width), **how)
            if whole
            else RTMPose(place, model_input_size=(width, height), **how)
        )

    def find(photo: Image.Image) -> People:
        points, trust = model(np.ascontiguousarray(np.asarray(photo)[..., ::-1]))
        found = np.concatenate([points, trust[..., None]], axis=-1).astype(np.float32)
        return found * (found[..., 2:] >= _LEAST_TRUST)

    return find


_LANDMARKS = ([0], [11, 12], [12], [14], [16], [11], [13], [15], [24], [26], [28], [23], [25], [27], [5], [2], [8], [7])
"""MediaPipe's numbers of our keypoints; the neck lies between the shoulders."""


def _mediapipe(place: str) -> Callable[[Image.Image], People]:
    """BlazePose (Bazarevsky et al., 2020)."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.PoseLandmarkerOptions(base_options=BaseOptions(model_asset_path=place), num_poses=4)
    vision.PoseLandmarker.create_from_options(options).close()  # says at once whether the file serves

    def find(photo: Image.Image) -> People:
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(np.asarray(photo)))
        # Closed here: when the process ends, what it needs for that is gone.
        with vision.PoseLandmarker.create_from_options(options) as landmarker:
            return people_of(landmarker.detect(image).pose_landmarks, photo.size)

    return find


def people_of(landmarks: Sequence[Sequence[Any]], size: tuple[int, int]) -> People:
    """The people of a `PoseLandmarkerResult`'s `pose_landmarks`, in a photo of that size (width, height).

    Args:
        landmarks: of each person all 33, with x and y in shares of the photo and a visibility of 0 to 1.
    """
    marks = np.array([[(mark.x, mark.y, mark.visibility) for mark in person] for person in landmarks], np.float32)
    marks = marks.reshape(-1, 33, 3) * np.array([*size, 1], np.float32)
    points = [[[*person[of, :2].mean(axis=0), person[of, 2].min()] for of in _LANDMARKS] for person in marks]
    found = np.array(points, np.float32).reshape(-1, len(KEYPOINTS), 3)
    inside = (found[..., :2] >= 0).all(-1) & (found[..., :2] < size).all(-1)  # it guesses what is outside
    return found * (inside & (found[..., 2] >= _LEAST_VISIBLE))[..., None]

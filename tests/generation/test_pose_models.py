"""Poses in photos: whom a model found, how the photo lies in the picture, and clear refusals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lapel.errors import UserError
from lapel.generation.control import ControlSettings
from lapel.generation.pose_models import choose_person, find_pose, load_pose_model, people_of, photo_of
from lapel.photos.people.library import library_pose
from lapel.photos.people.pose import COLOURS, draw_pose
from lapel.wardrobe import KEYPOINTS


def test_the_largest_person_with_a_head_is_taken() -> None:
    small, large = (library_pose("standing", (side, side)).points for side in (100, 300))
    assert np.array_equal(choose_person(np.stack([small, large]), Path("a.png")), large)
    few = large.copy()
    few[4:] = 0
    with pytest.raises(UserError, match=r"no person is found.*OpenPose's JSON"):
        choose_person(np.stack([few, 0 * few]), Path("pose:a.png"))
    with pytest.raises(UserError, match="no person is found"):
        choose_person(np.zeros((0, 18, 3), np.float32), Path("pose:a.png"))
    headless = large.copy()
    headless[[0, 14, 15, 16, 17]] = 0
    with pytest.raises(UserError, match=r"no head is found.*skeleton map"):
        choose_person(headless[None], Path("pose:a.png"))


def test_photos_and_poses_of_the_library_are_told_apart(tmp_path: Path) -> None:
    assert photo_of(Path("pose:standing@half")) is None and photo_of(Path("person.png")) is None
    assert photo_of(Path("pose:person.JPG")) == Path("person.JPG")
    assert np.array_equal(find_pose(Path("pose:star"), (64, 64), None).points, library_pose("star", (64, 64)).points)
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    for model, source, said in (
        (None, tmp_path / "a.png", "--pose_model, such as rtmlib"),
        ("rtmlib", tmp_path / "none.png", "no such photo"),
        ("openpose", tmp_path / "a.png", "give rtmlib"),
        ("mediapipe", tmp_path / "a.png", "mediapipe:FILE.task"),
        (f"rtmlib:{tmp_path}/none.onnx", tmp_path / "a.png", "no such file"),
    ):
        with pytest.raises(UserError, match=said) as refused:
            find_pose(Path(f"pose:{source}"), (64, 64), model)
        assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(UserError, match="--pose_model"):
        ControlSettings(["tiny"], [Path(f"pose:{tmp_path / 'a.png'}")])


COCO = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)
"""OpenPose's numbers of COCO's 17 keypoints, which RTMPose gives; it has no neck."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of RTMPose's form that finds the joints of a skeleton map by their colours."""
    pytest.importorskip("rtmlib")
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    colours = np.array([COLOURS[number] for number in COCO], np.float32)[:, ::-1]
    normed = (colours - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375)
    # The square of the distance to a colour is one convolution of the colour and one of its square.
    weights = {"one": 2 * normed[..., None, None], "two": -np.ones((17, 3, 1, 1)), "bias": 0.05 - (normed**2).sum(1)}
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    tensors += [
        numpy_helper.from_array(np.array(value, np.int64), name) for name, value in (("rows", [2]), ("cols", [3]))
    ]
    tensors.append(numpy_helper.from_array(np.array([1, 1, 2], np.float32), "twice"))
    tensors.append(numpy_helper.from_array(np.array(20, np.float32), "gain"))
    nodes = [
        helper.make_node("Mul", ["image", "image"], ["square"]),
        helper.make_node("Conv", ["image", "one", "bias"], ["first"]),
        helper.make_node("Conv", ["square", "two"], ["second"]),
        helper.make_node("Add", ["first", "second"], ["near"]),
        helper.make_node("Mul", ["near", "gain"], ["score"]),
        helper.make_node("ReduceMax", ["score", "rows"], ["columns"], keepdims=0),
        helper.make_node("ReduceMax", ["score", "cols"], ["lines"], keepdims=0),
        helper.make_node("Resize", ["columns", "", "twice"], ["x"], mode="nearest"),
        helper.make_node("Resize", ["lines", "", "twice"], ["y"], mode="nearest"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 256, 192])
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 17, s]) for n, s in (("x", 384), ("y", 512))]
    graph = helper.make_graph(nodes, "joints", [image], outputs, tensors)
    path = tmp_path_factory.mktemp("network") / "rtmpose.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.mark.parametrize("size", [(384, 512), (512, 512)])
def test_rtmlib_finds_the_joints_where_they_are(network: Path, size: tuple[int, int], tmp_path: Path) -> None:
    pose = library_pose("hands-up", (384, 512))
    draw_pose(pose).save(tmp_path / "person.png")
    found = find_pose(Path(f"pose:{tmp_path / 'person.png'}"), size, f"rtmlib:{network}")
    assert found.size == size
    inset = np.array([(size[0] - 384) / 2, 0])
    true = pose.points[:, :2].copy()
    true[KEYPOINTS.index("neck")] = true[[2, 5]].mean(axis=0)  # COCO has none: it is made of the shoulders
    assert (found.points[:, 2] > 0).all()
    # A cell of the network is 3 pixels, and a joint's radius 3.
    assert np.abs(found.points[:, :2] - inset - true).max() < 8


def test_rtmlib_finds_nobody_in_an_empty_picture(network: Path, tmp_path: Path) -> None:
    Image.new("RGB", (384, 512), (40, 40, 40)).save(tmp_path / "nobody.png")
    with pytest.raises(UserError, match="no person is found"):
        find_pose(Path(f"pose:{tmp_path / 'nobody.png'}"), (64, 64), f"rtmlib:{network}")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("rtmlib")
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be loaded") as refused:
        load_pose_model(f"rtmlib:{tmp_path / 'broken.onnx'}")
    assert len(str(refused.value).splitlines()) == 1


BODY = [name for name in KEYPOINTS if name != "neck"]
BLAZEPOSE = dict(zip(BODY, (0, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7), strict=True))
"""Numbers of the pose landmarker's documentation; the other 16 are fingers, toes, mouth and the eyes' corners."""


@dataclass
class Landmark:
    """The fields of MediaPipe's `NormalizedLandmark` that are read."""

    x: float
    y: float
    visibility: float


def test_mediapipes_landmarks_become_ours() -> None:
    true = library_pose("waving-right", (384, 512)).points
    person = [Landmark(0.9, 0.9, 1.0) for _ in range(33)]
    for name, number in BLAZEPOSE.items():
        x, y, _ = true[KEYPOINTS.index(name)]
        person[number] = Landmark(x / 384, y / 512, 0.75)
    person[BLAZEPOSE["left shoulder"]].visibility = 0.625
    person[BLAZEPOSE["right ankle"]].y = 1.01
    person[BLAZEPOSE["left ear"]].x = -0.01
    person[BLAZEPOSE["left knee"]].visibility = 0.49
    (found, other) = people_of([person, person[::-1]], (384, 512))
    wanted = np.concatenate([true[:, :2], np.full((18, 1), 0.75)], axis=1)
    neck, left = KEYPOINTS.index("neck"), KEYPOINTS.index("left shoulder")
    wanted[neck, :2] = true[[KEYPOINTS.index("right shoulder"), left], :2].mean(axis=0)
    wanted[[neck, left], 2] = 0.625  # the neck is as sure as the less sure shoulder
    wanted[[KEYPOINTS.index(name) for name in ("right ankle", "left ear", "left knee")]] = 0
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert not np.allclose(other, wanted, atol=1)
    assert people_of([], (384, 512)).shape == (0, 18, 3)


def test_mediapipe_refuses_a_file_that_is_none_of_its_models(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    (tmp_path / "broken.task").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be loaded"):
        load_pose_model(f"mediapipe:{tmp_path / 'broken.task'}")

"""The maps that guide a drawing: ready ones, poses, and what is made here from any picture."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.errors import UserError
from lapel.generation.pose_models import find_pose, photo_of
from lapel.photos.people.pose import draw_pose, is_named

if TYPE_CHECKING:
    import torch
    from PIL import Image

_MODELS = {
    "depth": ("depth_model", "depth-estimation", "depth-anything/Depth-Anything-V2-Small-hf"),
    "normal": ("depth_model", "depth-estimation", "depth-anything/Depth-Anything-V2-Small-hf"),
    "seg": ("segmentation_model", "image-segmentation", "openmmlab/upernet-convnext-small"),
}
"""What is made by a model: the setting that names it, transformers' name for what it does, and one that serves."""

_BUILDS = {"depth-estimation": "DepthEstimation", "image-segmentation": "Segmentation"}
"""What transformers' classes for a task have in their names."""

KINDS = ("canny", "softedge", *_MODELS)
"""What can be made of a picture: `KIND:IMAGE`."""


@dataclass(kw_only=True)
class MapSettings:
    """How maps are made of pictures."""

    canny_thresholds: tuple[float, float] = (100.0, 200.0)
    """Of `canny:IMAGE`: edges begin above the second gradient, of 0 to 255, and go on above the first. WebUI's own."""

    depth_model: str | None = None
    """What tells depth for `depth:IMAGE` and `normal:IMAGE`: a hub id or folder that transformers reads, such as
    `depth-anything/Depth-Anything-V2-Small-hf`."""

    segmentation_model: str | None = None
    """What tells what is what for `seg:IMAGE`: a hub id or folder that transformers reads, trained on ADE20K, such as
    `openmmlab/upernet-convnext-small`."""

    pose_model: str | None = None
    """What finds the pose of the person in a photo for `pose:IMAGE`: `rtmlib`, `rtmlib:MODE` (lightweight, balanced,
    performance), `rtmlib:FILE.onnx`, or `mediapipe:FILE.task`."""


def source_of(given: Path) -> tuple[str, Path]:
    """What a map is made of: one of `KINDS` and a picture; of a ready map or a pose, nothing and itself."""
    kind, colon, picture = str(given).partition(":")
    return (kind, Path(picture)) if colon and kind in KINDS else ("", given)


def source_findings(sources: Sequence[Path], settings: MapSettings) -> list[str]:
    """What can be said at once against maps and how they are made, a line each."""
    low, high = settings.canny_thresholds
    findings = [] if 0 <= low <= high else ["canny_thresholds must be two numbers of 0 or more, the smaller one first"]
    for source in sources:
        kind, picture = source_of(source)
        picture = photo_of(source) or picture
        if photo_of(source) and settings.pose_model is None:
            findings.append(f"{source}: found by a model; give --pose_model, such as rtmlib, or a ready map")
        if (photo_of(source) or not is_named(source)) and not picture.is_file():
            findings.append(f"{source}: no such {'picture' if kind or picture != source else 'map'}{_nearest(source)}")
        if kind in _MODELS and getattr(settings, _MODELS[kind][0]) is None:
            setting, _, usual = _MODELS[kind]
            findings.append(f"{source}: made by a model; give --{setting}, such as {usual}, or a ready map")
    return findings


def _nearest(source: Path) -> str:
    kind, colon, _ = str(source).partition(":")
    near = difflib.get_close_matches(kind, [*KINDS, "pose"], n=1) if colon and kind not in KINDS else []
    return f"; did you mean {near[0]}:?" if near else ""


def control_map(source: Path, settings: MapSettings, size: tuple[int, int], device: torch.device) -> Image.Image:
    """A control map, RGB. A ready one is of its own size; all others are made for that size (width, height).

    A picture of another shape is cut to that of `size`, around its middle.

    Raises:
        UserError: something that cannot be read, or a model that cannot be loaded.
    """
    from PIL import Image, ImageOps

    from lapel.photos.read import read_picture

    kind, path = source_of(source)
    if kind:
        picture = ImageOps.fit(read_picture(path, "white").colour, size, Image.Resampling.LANCZOS)
        return _made(kind, picture, settings, device)
    if is_named(path) or path.suffix.lower() == ".json":
        return draw_pose(find_pose(path, size, settings.pose_model))
    try:
        with Image.open(path) as opened:
            return opened.convert("RGB")
    except OSError:
        raise UserError(f"{path}: not a picture; give a control map, or a pose as .json") from None


def _made(kind: str, picture: Image.Image, settings: MapSettings, device: torch.device) -> Image.Image:
    from lapel.generation import depth, edges, segments

    if kind == "canny":
        return edges.canny(picture, *settings.canny_thresholds)
    if kind == "softedge":
        return edges.soft_edges(picture)
    setting, task, _ = _MODELS[kind]
    name = str(getattr(settings, setting))
    model = load_vision_model(task, name, f"--{setting}", device)
    if kind == "seg":
        return segments.segment(picture, model, name)
    near = depth.nearness(picture, model)
    return depth.depth_map(near) if kind == "depth" else depth.normal_map(near)


def load_vision_model(task: str, name: str, flag: str, device: torch.device) -> Any:
    """transformers' pipeline for a task; the model's licence is printed.

    Raises:
        UserError: its weights are neither at hand nor to be had, or are made for something else.
    """
    from transformers import AutoConfig, pipeline

    from lapel.base.licence import stated_licence, tell_licence

    try:
        built = " ".join(AutoConfig.from_pretrained(name).architectures or ())
        if _BUILDS[task] not in built:
            raise ValueError(f"it is a {built or 'model of no known build'}, and not for {task}")
        made: Any = pipeline(task, model=name, device=device)  # type: ignore[call-overload]
    except Exception as error:  # of transformers and the hub's client, of many kinds
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{flag} {name}: cannot be loaded ({reason}); download it first, or give a ready map") from None
    tell_licence(f"{task} model {name}", stated_licence(name))
    return made

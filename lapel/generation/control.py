"""Maps that guide a drawing through ControlNets and T2I-Adapters, whatever pipeline draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.errors import UserError
from lapel.generation.guides import TINY_CONTROL, load_controlnet
from lapel.generation.maps import MapSettings, control_map, source_findings
from lapel.generation.parsed import Parsed, changed_into, heard_looks, is_parsed, make_parsed, parsed_pose
from lapel.generation.pose_models import find_pose
from lapel.photos.people.pose import draw_pose

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from lapel.base.base import Base
    from lapel.photos.people.looks import Looks
    from lapel.photos.people.parsing import Classes
    from lapel.photos.people.pose import Pose

__all__ = [
    "TINY_CONTROL",
    "Control",
    "ControlSettings",
    "control_by_pose",
    "guided",
    "load_controlnet",
    "made_of",
    "read_controls",
]


@dataclass
class ControlSettings(MapSettings):
    """What else guides the drawing: a map for each ControlNet."""

    controlnet: list[str] = field(default_factory=list)
    """ControlNets or T2I-Adapters of the base's family: hub ids, diffusers folders or single files; or `tiny`, which
    lapel ships for poses and parsing maps."""

    control: list[Path] = field(default_factory=list)
    """What each is shown: a ready map, which passes through unchanged; a pose, which is drawn: OpenPose's .json, or one
    of the library (`pose:hands-on-hips`, `pose:standing@half`), or that of the person in a photo (`pose:IMAGE`); or
    what is made of any picture: `canny:IMAGE`, `softedge:IMAGE`, `depth:IMAGE`, `normal:IMAGE`, `seg:IMAGE`.
    `parsing:POSE` is the parsing map of a person in that pose who wears what `--shape` says."""

    control_weight: list[float] = field(default_factory=list)
    """How much each counts, or one for all; 1 unless given."""

    control_start: list[float] = field(default_factory=list)
    """Share of the denoising after which each begins to count, or one for all; 0 unless given."""

    control_end: list[float] = field(default_factory=list)
    """Share of the denoising after which each counts no more, or one for all; 1 unless given."""

    guess_mode: bool = False
    """Guide the prompt's side of guidance alone, so that a map says more than the prompt."""

    shape: str = ""
    """Words of shape for parsing maps that are made, such as "long sleeves, short skirt, open outer"."""

    def __post_init__(self) -> None:
        """What is given once for all becomes one for each.

        Raises:
            UserError: every finding, a line each.
        """
        findings, count = [], len(self.controlnet)
        if len(self.control) != count:
            findings.append(f"{len(self.control)} maps for {count} ControlNets; give one for each")
        for name, usual in (("control_weight", 1.0), ("control_start", 0.0), ("control_end", 1.0)):
            given = getattr(self, name) or [usual]
            if len(given) not in (1, count):
                findings.append(f"{len(given)} of {name} for {count} ControlNets; give one for each, or one")
            setattr(self, name, given * count if len(given) == 1 else given)
        spans = zip(self.control_start, self.control_end, strict=False)
        if not all(0 <= start < end <= 1 for start, end in spans):
            findings.append("control_start and control_end must lie between 0 and 1, the start first")
        findings += source_findings([parsed_pose(path) if is_parsed(path) else path for path in self.control], self)
        made = [path for path in self.control if is_parsed(path)]
        if made and not self.shape:
            findings.append(f'{made[0]}: nothing tells what is worn; give --shape, such as "long sleeves, short skirt"')
        if findings:
            raise UserError(*findings)

    def require_parsed(self) -> None:
        """Refuse words of shape that no parsing map is made of.

        Raises:
            UserError: there are such words.
        """
        if self.shape and not any(map(is_parsed, self.control)):
            raise UserError(f"--shape {self.shape}: shown on a parsing map; give --control parsing:standing, for one")


@dataclass(frozen=True)
class Control:
    """A ControlNet or T2I-Adapter, and what it is shown."""

    network: Any
    """diffusers' ControlNetModel or T2IAdapter."""
    map: Image.Image
    """RGB; brought to the size of what is drawn."""
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    guess_mode: bool = False
    made: Parsed | None = None
    """The parsing map that `map` shows, where it was made here."""

    def counts(self, share: float) -> bool:
        """Whether it guides when that share of the steps is done."""
        return self.start <= share < self.end


def read_controls(
    settings: ControlSettings,
    base: Base,
    size: tuple[int, int] | None = None,
    looks: Looks | None = None,
    load: Callable[[str, Base], Any] = load_controlnet,
) -> list[Control]:
    """Load the ControlNets, in the base's precision and place, and their maps.

    Args:
        size: of the picture that poses are drawn for (width, height); the base's own square unless given.
        looks: what the words of shape were understood as, where they were read already.
        load: gives the ControlNet of a name.

    Raises:
        UserError: a ControlNet that cannot be loaded or is of another family, or a map that cannot be read.
    """
    side = base.resolution
    size = size or (side, side)
    if looks is None and any(map(is_parsed, settings.control)):
        looks = heard_looks(settings.shape, "", base)
    made = [
        make_parsed(parsed_pose(path), find_pose(parsed_pose(path), size, settings.pose_model), looks)
        if looks and is_parsed(path)
        else None
        for path in settings.control
    ]
    maps = [
        parsed.shown() if parsed else control_map(source, settings, size, base.device)
        for source, parsed in zip(settings.control, made, strict=True)
    ]
    networks = [load(name, base) for name in settings.controlnet]
    each = zip(networks, maps, settings.control_weight, settings.control_start, settings.control_end, strict=True)
    return [Control(*one, settings.guess_mode, parsed) for one, parsed in zip(each, made, strict=True)]


def control_by_pose(
    network: Any,
    pose: Pose,
    made: Parsed | None = None,
    before: Classes | None = None,
    mask: Image.Image | None = None,
) -> Control:
    """What the ControlNet of a person's pose is shown: the skeleton, on a parsing map where one was made.

    Args:
        made: of that person in the garment.
        before: the parsing map of a photo, which stays what it is beyond the mask (mode L).
    """
    if made is None:
        return Control(network, draw_pose(pose))
    if before is not None and mask is not None:
        made = changed_into(before, made, mask)
    return Control(network, made.shown(pose), made=made)


def made_of(controls: Sequence[Control]) -> list[Parsed]:
    """The parsing maps among the controls that were made here."""
    return [control.made for control in controls if control.made is not None]


@contextmanager
def guided(pipeline: Any, controls: Sequence[Control], size: tuple[int, int]) -> Iterator[None]:
    """Within the block, every step of the pipeline is guided by the controls.

    diffusers' ControlNet pipelines take no latents to inpaint on and no nine channels, and none takes both kinds; so
    the UNet itself is handed what they add, whatever pipeline calls it.

    Args:
        size: (width, height) of what is drawn.
    """
    if not controls:
        yield
        return
    unet, plain = pipeline.unet, pipeline.unet.forward
    nets, adapters = _prepared(controls, size, unet)

    def forward(sample: Tensor, timestep: Any, encoder_hidden_states: Tensor, *rest: Any, **named: Any) -> Any:
        halves = bool(pipeline.do_classifier_free_guidance)  # known once the pipeline runs
        share = _share_done(pipeline.scheduler, timestep)
        step = (sample, timestep, encoder_hidden_states, named, halves)
        residuals = [_residuals(control, shown, *step) for control, shown in nets if control.counts(share)]
        if residuals:
            named |= {
                "down_block_additional_residuals": _sums([down for down, _ in residuals]),
                "mid_block_additional_residual": _sums([[middle] for _, middle in residuals])[0],
            }
        features = [_features(c, found, len(sample), halves) for c, found in adapters if c.counts(share)]
        if features:
            named["down_intrablock_additional_residuals"] = _sums(features)
        return plain(sample, timestep, encoder_hidden_states, *rest, **named)

    unet.forward = forward
    try:
        yield
    finally:
        unet.forward = plain


def _prepared(
    controls: Sequence[Control], size: tuple[int, int], unet: Any
) -> tuple[list[tuple[Control, Tensor]], list[tuple[Control, list[Tensor]]]]:
    """ControlNets with what they are shown at each step, and T2I-Adapters with what they make of it once for all."""
    import torch
    from diffusers import T2IAdapter

    nets, adapters = [], []
    for control in controls:
        adapts = isinstance(control.network, T2IAdapter)
        if not adapts:
            nets.append((control, _tensor(control.map, size).to(unet.device, unet.dtype)))
            continue
        stride = control.network.downscale_factor
        shown = _tensor(control.map, (-(-size[0] // stride) * stride, -(-size[1] // stride) * stride))
        if control.network.config.in_channels == 1:
            shown = shown.mean(dim=1, keepdim=True)
        with torch.no_grad():
            adapters.append((control, control.network(shown.to(unet.device, unet.dtype))))
    return nets, adapters


def _sums(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """What several add, level by level."""
    return [sum(level[1:], level[0]) for level in zip(*parts, strict=True)]


def _features(control: Control, found: Sequence[Tensor], count: int, halves: bool) -> list[Tensor]:
    """What a T2I-Adapter adds to a batch of so many; in guess mode, nothing on the negative prompt's half."""
    import torch

    weights = torch.full((count, 1, 1, 1), control.weight, device=found[0].device, dtype=found[0].dtype)
    if control.guess_mode and halves:
        weights[: count // 2] = 0
    return [weights * level for level in found]


def _residuals(
    control: Control, shown: Tensor, sample: Tensor, timestep: Any, text: Tensor, named: dict[str, Any], halves: bool
) -> tuple[list[Tensor], Tensor]:
    """What a ControlNet adds to the UNet; `halves` where the first half of the batch is the negative prompt's."""
    import torch

    count = len(sample)
    seen = slice(count // 2, None) if control.guess_mode and halves else slice(None)
    added = {key: value[seen] for key, value in (named.get("added_cond_kwargs") or {}).items() if key != "image_embeds"}
    latents = sample[seen, :4]  # an inpainting base's other channels are no business of the map
    down, middle = control.network(
        latents,
        timestep,
        text[seen],
        shown.expand(len(latents), -1, -1, -1),
        conditioning_scale=control.weight,
        guess_mode=control.guess_mode,
        added_cond_kwargs=added or None,
        return_dict=False,
    )
    if len(latents) < count:
        down = [torch.cat([torch.zeros_like(part), part]) for part in down]
        middle = torch.cat([torch.zeros_like(middle), middle])
    return list(down), middle


def _share_done(scheduler: Any, timestep: Any) -> float:
    """The share of the scheduler's steps that come before this one."""
    times = scheduler.timesteps
    value = float(timestep.flatten()[0] if hasattr(timestep, "flatten") else timestep)
    return float((times.float().cpu() - value).abs().argmin()) / len(times)


def _tensor(picture: Image.Image, size: tuple[int, int]) -> Tensor:
    """(1, 3, h, w) from 0 to 1, as ControlNets take it. Maps have flat colours, which must not mix."""
    import numpy as np
    import torch
    from PIL import Image

    shown = picture if picture.size == size else picture.resize(size, Image.Resampling.NEAREST)
    return torch.from_numpy(np.array(shown)).float().permute(2, 0, 1)[None] / 255

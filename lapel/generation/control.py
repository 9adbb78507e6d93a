"""Maps that guide a drawing through ControlNets (Zhang et al., 2023), whatever pipeline draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lapel.base.find import TINY_FOLDER, place_of
from lapel.errors import UserError
from lapel.generation.maps import MapSettings, control_map, source_findings

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from lapel.base.base import Base

TINY_CONTROL = TINY_FOLDER / "control"


@dataclass
class ControlSettings(MapSettings):
    """What else guides the drawing: a map for each ControlNet."""

    controlnet: list[str] = field(default_factory=list)
    """ControlNets of the base's family: hub ids, diffusers folders or single files; or `tiny`, which lapel ships for
    poses and parsing maps."""

    control: list[Path] = field(default_factory=list)
    """What each is shown: a ready map, which passes through unchanged; a pose, which is drawn: OpenPose's .json, or one
    of the library (`pose:hands-on-hips`, `pose:standing@half`); or what is made of any picture: `canny:IMAGE`,
    `softedge:IMAGE`, `depth:IMAGE`, `normal:IMAGE`, `seg:IMAGE`."""

    control_weight: list[float] = field(default_factory=list)
    """How much each counts, or one for all; 1 unless given."""

    control_start: float = 0.0
    """Share of the denoising after which they begin to count."""

    control_end: float = 1.0
    """Share of the denoising after which they count no more."""

    guess_mode: bool = False
    """Guide the prompt's side of guidance alone, so that a map says more than the prompt."""

    def __post_init__(self) -> None:
        """One weight for all becomes one for each.

        Raises:
            UserError: every finding, a line each.
        """
        findings = []
        if len(self.control) != len(self.controlnet):
            findings.append(f"{len(self.control)} maps for {len(self.controlnet)} ControlNets; give one for each")
        weights = self.control_weight or [1.0]
        self.control_weight = weights * len(self.controlnet) if len(weights) == 1 else weights
        if len(self.control_weight) != len(self.controlnet):
            findings.append(f"{len(weights)} control weights for {len(self.controlnet)} ControlNets; give one for each")
        if not 0 <= self.control_start < self.control_end <= 1:
            findings.append("control_start and control_end must lie between 0 and 1, the start first")
        findings += source_findings(self.control, self)
        if findings:
            raise UserError(*findings)


@dataclass(frozen=True)
class Control:
    """A ControlNet and what it is shown."""

    network: Any
    """diffusers' ControlNetModel."""
    map: Image.Image
    """RGB; brought to the size of what is drawn."""
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    guess_mode: bool = False


def read_controls(settings: ControlSettings, base: Base, size: tuple[int, int] | None = None) -> list[Control]:
    """Load the ControlNets, in the base's precision and place, and their maps.

    Args:
        size: of the picture that poses are drawn for (width, height); the base's own square unless given.

    Raises:
        UserError: a ControlNet that cannot be loaded or is of another family, or a map that cannot be read.
    """
    side = base.resolution
    maps = [control_map(source, settings, size or (side, side), base.device) for source in settings.control]
    networks = [load_controlnet(name, base) for name in settings.controlnet]
    return [
        Control(network, shown, weight, settings.control_start, settings.control_end, settings.guess_mode)
        for network, shown, weight in zip(networks, maps, settings.control_weight, strict=True)
    ]


def load_controlnet(name: str, base: Base) -> Any:
    """A ControlNet by its name, in the base's precision and place.

    Raises:
        UserError: it cannot be loaded, or is of another family.
    """
    from diffusers import ControlNetModel

    place = TINY_CONTROL if name == "tiny" else place_of(name, "--controlnet")
    try:
        single = isinstance(place, Path) and place.is_file()
        load: Any = ControlNetModel.from_single_file if single else ControlNetModel.from_pretrained
        network: Any = load(str(place), torch_dtype=base.dtype)
    except Exception as error:  # of the hub's client, safetensors and diffusers alike
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{name}: cannot be loaded as a ControlNet ({reason}); check the name or the file") from None
    ours, theirs = base.unet.config, network.config
    if (ours.cross_attention_dim, list(ours.block_out_channels)) != (
        theirs.cross_attention_dim,
        list(theirs.block_out_channels),
    ):
        raise UserError(
            f"{name}: a ControlNet of another family than {base.name} ({base.family.title}); take one of it"
        )
    return network.requires_grad_(False).eval().to(base.device)


@contextmanager
def guided(pipeline: Any, controls: Sequence[Control], size: tuple[int, int]) -> Iterator[None]:
    """Within the block, every step of the pipeline is guided by the controls.

    diffusers' ControlNet pipelines take no latents to inpaint on and no nine channels; so the UNet itself is handed the
    residuals, whatever pipeline calls it.

    Args:
        size: (width, height) of what is drawn.
    """
    if not controls:
        yield
        return
    unet, plain = pipeline.unet, pipeline.unet.forward
    maps = [_tensor(control.map, size).to(unet.device, unet.dtype) for control in controls]

    def forward(sample: Tensor, timestep: Any, encoder_hidden_states: Tensor, *rest: Any, **named: Any) -> Any:
        halves = bool(pipeline.do_classifier_free_guidance)  # known once the pipeline runs
        share = _share_done(pipeline.scheduler, timestep)
        active = [(c, shown) for c, shown in zip(controls, maps, strict=True) if c.start <= share < c.end]
        if active:
            found = [
                _residuals(control, shown, sample, timestep, encoder_hidden_states, named, halves)
                for control, shown in active
            ]
            downs = [sum(parts[1:], parts[0]) for parts in zip(*(down for down, _ in found), strict=True)]
            named |= {
                "down_block_additional_residuals": downs,
                "mid_block_additional_residual": sum((middle for _, middle in found[1:]), found[0][1]),
            }
        return plain(sample, timestep, encoder_hidden_states, *rest, **named)

    unet.forward = forward
    try:
        yield
    finally:
        unet.forward = plain


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

"""The peaks of a run that has not begun: no weights, no GPU, no photos."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch

from lapel.base.hollow import hollow_base, hollow_resolution
from lapel.base.load import save_as_settled, usual_precision
from lapel.base.quantise import quantise
from lapel.base.settings import FrozenWeights
from lapel.base.stream import start_streaming, stop_streaming
from lapel.files import written_whole
from lapel.training.objective import Objective
from lapel.training.plan.key import content_key
from lapel.training.plan.levers import Levers, with_levers
from lapel.training.plan.phases import Block, Peak, Phases, Recipe, Step
from lapel.training.plan.shadow import cast_shadow
from lapel.training.plan.states import state_bytes

if TYPE_CHECKING:
    from lapel.training.facts import AllSettings

Found = TypeVar("Found", Peak, Step)
DeviceType = Literal["cuda", "cpu"]

CONTEXT = 450_000_000
"""Bytes of a GPU that belong to no tensor: CUDA's context, its kernels, and the work spaces of cuBLAS and cuDNN."""
SLACK = 0.06
"""Share of what comes and goes that an allocator loses between its blocks."""


class Predictor:
    """Predicts the phases of a run by their levers; what was predicted once is remembered on disk.

    Args:
        settings: of the run, as the trainer has them.
        recipe: what the trainer puts into a base and minimises.
        device: where the run is to be.
        cache_dir: where predictions are kept, by everything that they depend on.
    """

    def __init__(self, settings: AllSettings, recipe: Recipe, device: DeviceType, cache_dir: Path) -> None:
        self.settings, self.recipe, self.device = settings, recipe, device
        self.folder = cache_dir / "plans"
        self._models: dict[FrozenWeights, _Model] = {}

    def peaks(self, levers: Levers) -> dict[str, Peak]:
        """Every phase's, in their order."""
        peaks = {"encoding": self.encoding(levers), "step": self.step(levers).peak}
        return peaks | ({"sampling": self.sampling(levers)} if self.sampled else {})

    @property
    def sampled(self) -> bool:
        """Whether the run draws anything."""
        return bool(self.settings.run.sample_every and self.settings.run.sample_prompts)

    def encoding(self, levers: Levers) -> Peak:
        """Of photos to latents, and captions to embeddings."""
        matters = (levers.frozen_weights, levers.stream_weights, levers.vae_tile, levers.offload_text)
        return self._remembered("encoding", matters, lambda: self._model(levers).run(Phases.encoding))

    def step(self, levers: Levers) -> Step:
        """A training step."""

        def compute() -> Step:
            model = self._model(levers)
            return model.run(functools.partial(Phases.step, objective=model.objective, batch_size=levers.batch_size))

        matters = (levers.frozen_weights, levers.stream_weights, levers.checkpoint, levers.batch_size)
        step = self._remembered("step", (*matters, self.recipe.live_text and levers.offload_text), compute)
        return dataclasses.replace(step, peak=self._with_states(step.peak, levers))

    def sampling(self, levers: Levers) -> Peak:
        """Of drawing samples on the way."""
        pictures = min(levers.sample_batch, self._pictures)
        weights = (levers.frozen_weights, levers.stream_weights)
        matters = (*weights, levers.vae_tile, levers.offload_text, pictures, levers.vae_slicing)
        compute = functools.partial(Phases.sampling, pictures=pictures)
        peak = self._remembered("sampling", matters, lambda: self._model(levers).run(compute))
        return self._with_states(peak, levers)

    @property
    def may_offload_text(self) -> bool:
        """Whether it saves memory of the device, and leaves nothing out of it that learns."""
        return self.device == "cuda" and not self.recipe.live_text

    @property
    def may_stream(self) -> bool:
        """Whether there are frozen weights that another memory could hold."""
        return self.device == "cuda" and not self.recipe.whole

    @property
    def may_split(self) -> bool:
        """Whether the photos of a step may pass one after the other."""
        return not self.recipe.fused

    @functools.cached_property
    def side(self) -> int:
        """Of the pictures, in pixels."""
        return self.recipe.resolution or hollow_resolution(self.settings.base)

    @property
    def _pictures(self) -> int:
        run = self.settings.run
        return run.sample_images * len(run.sample_prompts) * self.recipe.shown

    def needed(self, peaks: Iterable[Peak]) -> int:
        """Bytes of the device that phases with these peaks take, allowances included."""
        context = CONTEXT if self.device == "cuda" else _resident()
        return max(peak.total + context + round(SLACK * peak.working) for peak in peaks)

    def _with_states(self, peak: Peak, levers: Levers) -> Peak:
        numbers = peak.trainable // torch.float32.itemsize
        return dataclasses.replace(peak, optimizer=state_bytes(levers.optimizer, numbers))

    def _model(self, levers: Levers) -> _Model:
        """The shadow of the base in that precision, set to compute as the levers say."""
        if levers.frozen_weights not in self._models:
            self._models.clear()
            self._models[levers.frozen_weights] = _Model(self.settings, self.recipe, self.device, levers, self.side)
        model = self._models[levers.frozen_weights]
        model.compute_as(with_levers(self.settings, levers))
        return model

    def _remembered(self, phase: str, matters: tuple[Any, ...], compute: Callable[[], Found]) -> Found:
        functions = ("inject", "loss", "batch")
        recipe = {name: value for name, value in vars(self.recipe).items() if name not in functions}
        key = content_key(self.settings, recipe, self.device, phase, *matters)
        path = self.folder / f"{key}.json"
        if path.is_file():
            return _read(json.loads(path.read_text(encoding="utf-8")))
        found = compute()
        with written_whole(path) as unfinished:
            unfinished.write_text(json.dumps(dataclasses.asdict(found)), encoding="utf-8")
        return found


def _read(facts: dict[str, Any]) -> Any:
    if "blocks" in facts:
        return Step(Peak(**facts["peak"]), tuple(Block(**block) for block in facts["blocks"]), facts["flops"])
    return Peak(**facts)


class _Model:
    """A base of shadows, with what is learned in it."""

    def __init__(self, settings: AllSettings, recipe: Recipe, device: DeviceType, levers: Levers, side: int) -> None:
        self.device = torch.device(device)
        wanted = with_levers(settings, levers).base
        precision = wanted.precision or usual_precision(wanted.base, self.device)
        loaded = dataclasses.replace(wanted, precision="fp32") if recipe.whole else wanted
        self.base = base = hollow_base(loaded, self.device)
        if levers.frozen_weights != "full":
            quantise(base.unet, levers.frozen_weights, "meta")
        beside = recipe.inject(base)
        self.objective = Objective(base.scheduler, settings.objective)
        self.mode = cast_shadow(base.unet, base.vae, *base.text_encoders, *([beside.unet] if beside else []))
        with self.mode:
            self.phases = Phases(base, recipe, precision, side, gpu=device == "cuda", beside=beside)

    def compute_as(self, settings: AllSettings) -> None:
        """Set checkpointing, the VAE's pieces, and where weights and text encoders are."""
        unet, vae = self.base.unet, self.base.vae
        unet.disable_gradient_checkpointing()
        vae.use_tiling = False
        save_as_settled(unet, vae, settings.base)
        (start_streaming if settings.base.stream_weights else stop_streaming)(unet)
        for encoder in self.base.text_encoders:
            encoder.train(self.phases.recipe.whole)
            if settings.base.gradient_checkpointing and any(weight.requires_grad for weight in encoder.parameters()):
                encoder.gradient_checkpointing_enable({"use_reentrant": False})
            else:
                encoder.gradient_checkpointing_disable()
        self.phases.text_elsewhere = settings.base.offload_text and self.device.type == "cuda"

    def run(self, phase: Callable[[Phases], Found]) -> Found:
        """One phase."""
        with self.mode:
            return phase(self.phases)


def _resident() -> int:
    """Bytes of this process's memory, libraries included."""
    import psutil

    return psutil.Process().memory_info().rss

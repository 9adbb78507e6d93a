"""From a request to images, with any of diffusers' text-to-image pipelines of the families that lapel knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lapel.generation.request import Request
from lapel.generation.schedulers import scheduler_named

if TYPE_CHECKING:
    from PIL import Image

Progress = Callable[[int, int], None]
"""Called after each denoising step of a batch with the steps done so far and the steps of the whole request."""


def generate(pipeline: Any, request: Request, progress: Progress | None = None) -> list[Image.Image]:
    """Draw the request's images, one for each of `request.image_seeds()`, in that order, as RGB.

    `pipeline` is any of diffusers' own that turns a prompt into images; its scheduler is put back afterwards. Every
    image has a noise generator of its own, on the CPU, so that its seed alone decides it: not its batch mates, and,
    beyond rounding, not the machine.
    """
    seeds = request.image_seeds()
    batches = [seeds[start : start + request.batch] for start in range(0, len(seeds), request.batch)]
    base_scheduler = pipeline.scheduler
    if request.scheduler is not None:
        pipeline.scheduler = scheduler_named(request.scheduler, base_scheduler)
    pipeline.set_progress_bar_config(disable=True)
    images: list[Image.Image] = []
    try:
        for number, batch in enumerate(batches):
            images += _draw(pipeline, request, batch, _batch_progress(progress, number, len(batches)))
    finally:
        pipeline.scheduler = base_scheduler
    return images


def _draw(pipeline: Any, request: Request, seeds: list[int], report: Callable[[int, int], None]) -> list[Image.Image]:
    import torch

    def after_step(running: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        report(step + 1, running.num_timesteps)
        return tensors

    return pipeline(
        prompt=[request.prompt] * len(seeds),
        negative_prompt=[request.negative_prompt] * len(seeds),
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        width=request.width,
        height=request.height,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
        callback_on_step_end=after_step,
    ).images


def _batch_progress(progress: Progress | None, number: int, batches: int) -> Callable[[int, int], None]:
    """A pipeline's own count within batch `number`, turned into the request's."""

    def report(done: int, steps: int) -> None:
        if progress is not None:
            progress(number * steps + done, batches * steps)

    return report

"""From a request to images, with any of diffusers' text-to-image pipelines of the families that lapel knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lapel.generation.request import Request
from lapel.generation.schedulers import scheduler_named

if TYPE_CHECKING:
    from PIL import Image

Progress = Callable[[int, int], None]
"""Called after each denoising step of a batch with the steps done so far and the steps of everything asked for."""


def generate(pipeline: Any, request: Request, progress: Progress | None = None) -> list[Image.Image]:
    """Draw the request's images, one for each of `request.image_seeds()`, in that order, as RGB.

    `pipeline` is any of diffusers' own that turns a prompt into images; its scheduler is put back afterwards. Every
    image has a noise generator of its own, on the CPU, so that its seed alone decides it: not its batch mates, and,
    beyond rounding, not the machine.
    """
    (images,) = generate_together(pipeline, [request], progress)
    return images


def generate_together(
    pipeline: Any, requests: Sequence[Request], progress: Progress | None = None
) -> list[list[Image.Image]]:
    """`generate` for several requests that differ in prompts and seeds only, `batch` images at once across them.

    Raises:
        ValueError: requests that differ in more, which no pipeline draws in one batch.
    """
    if not requests:
        return []
    first = requests[0]
    for request in requests:
        if dataclasses.replace(request, **_drawn_apart(first)) != first:
            raise ValueError("requests drawn together may differ in prompts and seeds only")
    jobs = [(request.prompt, request.negative_prompt, seed) for request in requests for seed in request.image_seeds()]
    batches = [jobs[start : start + first.batch] for start in range(0, len(jobs), first.batch)]
    base_scheduler = pipeline.scheduler
    if first.scheduler is not None:
        pipeline.scheduler = scheduler_named(first.scheduler, base_scheduler)
    pipeline.set_progress_bar_config(disable=True)
    images: list[Image.Image] = []
    try:
        for number, batch in enumerate(batches):
            images += _draw(pipeline, first, batch, _batch_progress(progress, number, len(batches)))
    finally:
        pipeline.scheduler = base_scheduler
    drawn = iter(images)
    return [[next(drawn) for _ in request.image_seeds()] for request in requests]


def _drawn_apart(request: Request) -> dict[str, Any]:
    """The fields that each image of a batch has for itself."""
    return {name: getattr(request, name) for name in ("prompt", "negative_prompt", "seeds", "images")}


def _draw(pipeline: Any, request: Request, jobs: Sequence[tuple[str, str, int]], report: Progress) -> list[Image.Image]:
    import torch

    def after_step(running: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        report(step + 1, running.num_timesteps)
        return tensors

    prompts, negative_prompts, seeds = zip(*jobs, strict=True)
    return pipeline(
        prompt=list(prompts),
        negative_prompt=list(negative_prompts),
        num_inference_steps=request.steps,
        guidance_scale=request.guidance,
        width=request.width,
        height=request.height,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
        callback_on_step_end=after_step,
    ).images


def _batch_progress(progress: Progress | None, number: int, batches: int) -> Progress:
    """A pipeline's own count within batch `number`, turned into that of everything asked for."""

    def report(done: int, steps: int) -> None:
        if progress is not None:
            progress(number * steps + done, batches * steps)

    return report

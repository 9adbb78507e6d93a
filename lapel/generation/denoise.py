"""From a picture to images, with any of diffusers' pipelines of the families that lapel knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lapel.base.families import INPAINTING_CHANNELS
from lapel.generation.picture import PictureSettings
from lapel.generation.schedulers import scheduler_named

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor


class Drawing(Protocol):
    """What images are drawn upon, where it is not nothing."""

    def arguments(self, seeds: Sequence[int]) -> dict[str, Any]:
        """The pipeline's own arguments for a batch, one image for each seed."""


Progress = Callable[[int, int], None]
"""Called after each denoising step of a batch with the steps done so far and the steps of everything asked for."""


@dataclass(frozen=True)
class GarmentPhotos:
    """Photos of a garment for a garment encoder that the pipeline wears, as its image tower sees them.

    `features` is (photos, ...), `nothing` (...) what stands for no photo, which guidance moves away from.
    """

    features: Tensor
    nothing: Tensor


class Job(NamedTuple):
    """One image."""

    prompt: str
    negative_prompt: str
    seed: int
    photos: GarmentPhotos | None


def generate(
    pipeline: Any,
    picture: PictureSettings,
    progress: Progress | None = None,
    photos: GarmentPhotos | None = None,
    upon: Drawing | None = None,
) -> list[Image.Image]:
    """Draw the picture's images, one for each of `picture.image_seeds()`, in that order, as RGB.

    `pipeline` is any of diffusers' own that turns a prompt into images; its scheduler is put back afterwards. Prompts
    may be of any length: beyond 75 tokens they are encoded in several windows, as WebUI does it. Every image has a
    noise generator of its own, on the CPU, so that its seed alone decides it: not its batch mates, and, beyond
    rounding, not the machine.
    """
    (images,) = generate_together(pipeline, [picture], progress, [photos], upon)
    return images


def generate_together(
    pipeline: Any,
    pictures: Sequence[PictureSettings],
    progress: Progress | None = None,
    photos: Sequence[GarmentPhotos | None] | None = None,
    upon: Drawing | None = None,
) -> list[list[Image.Image]]:
    """`generate` for several pictures that differ in prompts and seeds only, `batch` images at once across them.

    Args:
        photos: for each picture, as many for all; where the pipeline wears a garment encoder, and only there.
        upon: what all of them are drawn upon, by a pipeline that takes that.

    Raises:
        ValueError: pictures that differ in more, which no pipeline draws in one batch.
    """
    if not pictures:
        return []
    first = pictures[0]
    for picture in pictures:
        if dataclasses.replace(picture, **_drawn_apart(first)) != first:
            raise ValueError("pictures drawn together may differ in prompts and seeds only")
    jobs = [
        Job(picture.prompt, picture.negative_prompt, seed, shown)
        for picture, shown in zip(pictures, photos or [None] * len(pictures), strict=True)
        for seed in picture.image_seeds()
    ]
    batches = _batches(pipeline, jobs, first.batch)
    base_scheduler = pipeline.scheduler
    if first.scheduler is not None:
        pipeline.scheduler = scheduler_named(first.scheduler, base_scheduler)
    pipeline.set_progress_bar_config(disable=True)
    if upon is None and pipeline.unet.config.in_channels == INPAINTING_CHANNELS:
        upon = _blank(pipeline, first)
    images: list[Image.Image] = []
    try:
        for number, batch in enumerate(batches):
            images += _draw(pipeline, first, batch, _batch_progress(progress, number, len(batches)), upon)
    finally:
        pipeline.scheduler = base_scheduler
    drawn = iter(images)
    return [[next(drawn) for _ in picture.image_seeds()] for picture in pictures]


@dataclass(frozen=True)
class Blank:
    """Nothing, for an inpainting base: a picture that is hidden wholly, of which it draws all."""

    latents: Tensor
    """(1, 4, h, w): of plain grey."""
    hidden: Any
    """PIL image, mode L: white."""

    def arguments(self, seeds: Sequence[int]) -> dict[str, Any]:
        """The pipeline's arguments for a batch, one image for each seed."""
        latents = self.latents.repeat(len(seeds), 1, 1, 1)
        return {"image": latents, "mask_image": self.hidden, "masked_image_latents": latents, "strength": 1.0}


def _blank(pipeline: Any, picture: PictureSettings) -> Blank:
    import torch
    from PIL import Image

    from lapel.base.vae import latents_of

    usual = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    width, height = picture.width or usual, picture.height or usual
    with torch.no_grad():
        latents, _ = latents_of(pipeline.vae, torch.zeros(1, 3, height, width))
    return Blank(latents, Image.new("L", (width, height), 255))


def _drawn_apart(picture: PictureSettings) -> dict[str, Any]:
    """The fields that each image of a batch has for itself."""
    return {name: getattr(picture, name) for name in ("prompt", "negative_prompt", "seeds", "images")}


def _batches(pipeline: Any, jobs: Sequence[Job], size: int) -> list[tuple[int, list[Job]]]:
    """Jobs in their order, `size` at most together, each batch with the windows that its prompts take.

    A prompt is encoded in the windows that it and its negative take, whatever is drawn beside it: more empty ones would
    change its image.
    """
    from lapel.base.emphasis import pieces_of
    from lapel.base.prompts import windows_taken

    batches: list[tuple[int, list[Job]]] = []
    for job in jobs:
        windows = windows_taken([pipeline.tokenizer], map(pieces_of, (job.prompt, job.negative_prompt)))
        if batches and batches[-1][0] == windows and len(batches[-1][1]) < size:
            batches[-1][1].append(job)
        else:
            batches.append((windows, [job]))
    return batches


def _text(pipeline: Any, prompts: Sequence[str], negative_prompts: Sequence[str], windows: int) -> dict[str, Any]:
    """The prompts for the pipeline to encode, or, where they take more than it knows, encoded.

    That is several windows, weights, or the words of textual inversions.
    """
    from lapel.base.emphasis import is_plain, pieces_of, text_of
    from lapel.base.prompts import has_new_words

    said, unsaid = ([pieces_of(prompt) for prompt in each] for each in (prompts, negative_prompts))
    if windows == 1 and all(
        is_plain(pieces) and not has_new_words(pipeline.tokenizer, text_of(pieces)) for pieces in (*said, *unsaid)
    ):
        return {"prompt": [*map(text_of, said)], "negative_prompt": [*map(text_of, unsaid)]}
    negative = encode_prompts(pipeline, negative_prompts, windows)
    return encode_prompts(pipeline, prompts, windows) | {f"negative_{name}": value for name, value in negative.items()}


def encode_prompts(pipeline: Any, prompts: Sequence[str], windows: int | None = None) -> dict[str, Tensor]:
    """Prompts, with WebUI's weights in them, by a pipeline's own encoders, as `encode_windows` has them.

    Args:
        windows: for each prompt; as many as the longest takes unless given.
    """
    from lapel.base.emphasis import pieces_of
    from lapel.base.prompts import encode_windows, windows_taken

    suffixes = ("", "_2") if hasattr(pipeline, "text_encoder_2") else ("",)
    tokenizers = [getattr(pipeline, f"tokenizer{suffix}") for suffix in suffixes]
    encoders = [getattr(pipeline, f"text_encoder{suffix}") for suffix in suffixes]
    pieces = [pieces_of(prompt) for prompt in prompts]
    return encode_windows(tokenizers, encoders, pieces, windows or windows_taken(tokenizers, pieces))


@contextmanager
def _shown(pipeline: Any, photos: Sequence[GarmentPhotos | None], guidance: float) -> Iterator[dict[str, Any]]:
    """What the garment encoder of a pipeline is shown of each image's garment: for guidance, first nothing, then it.

    A pipeline repeats whatever it is given for every image of the batch, as one photo for all: each image would then
    show a bit of all the garments. Within the block it takes what is here as it is.
    """
    import torch

    shown = [photo for photo in photos if photo is not None]
    if not shown:
        yield {}
        return
    parts = [torch.stack([photo.features for photo in shown])]
    if guidance > 1:
        nothing = [photo.nothing.expand_as(photo.features) for photo in shown]
        parts.insert(0, torch.stack(nothing))
    embeds = [torch.cat(parts).to(pipeline.unet.device, pipeline.unet.dtype)]
    pipeline.prepare_ip_adapter_image_embeds = lambda *_: embeds
    try:
        yield {"ip_adapter_image_embeds": embeds}
    finally:
        del pipeline.prepare_ip_adapter_image_embeds


def _draw(
    pipeline: Any, picture: PictureSettings, batch: tuple[int, Sequence[Job]], report: Progress, upon: Drawing | None
) -> list[Image.Image]:
    import torch

    def after_step(running: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        report(step + 1, running.num_timesteps)
        return tensors

    windows, jobs = batch
    prompts, negative_prompts, seeds, photos = zip(*jobs, strict=True)
    with _shown(pipeline, photos, picture.guidance) as shown:
        return pipeline(
            **_text(pipeline, prompts, negative_prompts, windows),
            **shown,
            **(upon.arguments(seeds) if upon else {}),
            num_inference_steps=picture.steps,
            guidance_scale=picture.guidance,
            width=picture.width,
            height=picture.height,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            callback_on_step_end=after_step,
        ).images


def _batch_progress(progress: Progress | None, number: int, batches: int) -> Progress:
    """A pipeline's own count within batch `number`, turned into that of everything asked for."""

    def report(done: int, steps: int) -> None:
        if progress is not None:
            progress(number * steps + done, batches * steps)

    return report

"""Denoising with adapters: a request goes in, images come out, and files that front ends can read back."""

from __future__ import annotations

from lapel.generation.denoise import GarmentPhotos, Progress, generate, generate_together
from lapel.generation.images import Provenance, WornAdapter, parameters_text, save_image
from lapel.generation.outfit import Outfit, put_on, read_outfit
from lapel.generation.picture import PictureSettings
from lapel.generation.schedulers import SCHEDULERS, scheduler_name, scheduler_named
from lapel.generation.wearing import WearSettings

__all__ = [
    "SCHEDULERS",
    "GarmentPhotos",
    "Outfit",
    "PictureSettings",
    "Progress",
    "Provenance",
    "WearSettings",
    "WornAdapter",
    "generate",
    "generate_together",
    "parameters_text",
    "put_on",
    "read_outfit",
    "save_image",
    "scheduler_name",
    "scheduler_named",
]

"""Draw images that show a garment: python inference/generate.py --adapter FILE --prompt "a photo of {garment} ..."

The base is the one that the first adapter's card names; several adapters are worn together, each with its weight. A
garment that nothing was trained for is worn from its photos: --encoder FILE --garment_photo PHOTO --prompt "...". A
fine-tuned checkpoint wears nothing: --base FILE --prompt "a photo of {garment} ...".
"""

from __future__ import annotations

import sys

from lapel.errors import run_program
from lapel.files import require_writable
from lapel.generation import PictureSettings, WearSettings, generate, put_on, read_outfit, save_images
from lapel.generation.control import ControlSettings, guided, made_of, read_controls
from lapel.generation.like import like
from lapel.generation.parsed import write_parsed
from lapel.generation.progress import time_left
from lapel.generation.regions import RegionSettings, read_regions, regional
from lapel.quiet import quiet
from lapel.settings import read_settings


def main() -> None:
    """Read cards, load the base, wear the adapters, draw and save."""
    kinds = (WearSettings, ControlSettings, RegionSettings, PictureSettings)
    settings, control, region, request = read_settings(__doc__ or "", *kinds, argv=like(sys.argv[1:]))
    outfit = read_outfit(settings)
    request.prompt = outfit.named(request.prompt)
    control.require_parsed()
    region.require_encoder(settings.encoder)
    require_writable(settings.output_dir)

    quiet()
    import torch

    from lapel.base.load import load_base

    base = load_base(outfit.base, "cuda" if torch.cuda.is_available() else "cpu")
    pipeline, photos = put_on(outfit, base, "text2img", request.prompt)
    size = (request.width or base.resolution, request.height or base.resolution)
    controls = read_controls(control, base, size)
    regions = outfit.named_regions(read_regions(region, size, made_of(controls)))
    with guided(pipeline, controls, size), regional(pipeline, regions):
        images = generate(pipeline, request, time_left(), photos)
    paths = save_images(images, request, settings.output_dir, outfit.provenance(base, region.told()))
    for path in [*paths, *write_parsed(made_of(controls), settings.output_dir)]:
        print(path)


if __name__ == "__main__":
    run_program(main)

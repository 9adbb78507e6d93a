"""Draw images that show a garment: python inference/generate.py --adapter FILE --prompt "a photo of {garment} ..."

The base is the one that the first adapter's card names; several adapters are worn together, each with its weight. A
garment that nothing was trained for is worn from its photos: --encoder FILE --garment_photo PHOTO --prompt "...". A
fine-tuned checkpoint wears nothing: --base FILE --prompt "a photo of {garment} ...".
"""

from __future__ import annotations

import sys

from lapel.errors import run_program
from lapel.files import require_writable
from lapel.generation import PictureSettings, WearSettings
from lapel.generation.carry_out import carry_out, settle
from lapel.generation.control import ControlSettings
from lapel.generation.like import like
from lapel.generation.progress import time_left
from lapel.generation.regions import RegionSettings
from lapel.generation.request import Request
from lapel.generation.save import save
from lapel.quiet import quiet
from lapel.settings import read_settings

KINDS = (WearSettings, ControlSettings, RegionSettings, PictureSettings)


def main() -> None:
    """Read what is asked for, draw it, and save."""
    wearing, control, region, picture = read_settings(__doc__ or "", *KINDS, argv=like(sys.argv[1:], *KINDS))
    request = Request(wearing, picture, control, region)
    settle(request)
    require_writable(wearing.output_dir)

    quiet()
    from lapel.fidelity.studio import open_studio

    outcome = carry_out(request, open_studio(), time_left())
    for path in save([outcome], wearing.output_dir):
        print(path)


if __name__ == "__main__":
    run_program(main)

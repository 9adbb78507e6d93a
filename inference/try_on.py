"""Change the clothes on a photo: python inference/try_on.py --image PERSON --adapter FILE

The garment is worn as an adapter, as photos through a garment encoder, or both. Where it goes is drawn by the user
(--mask), or follows from its shape and from the person: --pose is OpenPose's JSON, --parsing a map of what is what.
Every pixel that the mask leaves alone is the photo's own, bit for bit.
"""

from __future__ import annotations

import sys

from lapel.errors import run_program
from lapel.files import require_writable
from lapel.generation import PictureSettings, WearSettings
from lapel.generation.carry_out import carry_out, settle
from lapel.generation.control import ControlSettings
from lapel.generation.inpaint import InpaintSettings
from lapel.generation.like import like
from lapel.generation.progress import time_left
from lapel.generation.regions import RegionSettings
from lapel.generation.request import Request
from lapel.generation.retouching import RetouchSettings
from lapel.generation.save import save
from lapel.generation.try_on import TryOnSettings
from lapel.quiet import quiet
from lapel.settings import read_settings

KINDS = (
    TryOnSettings,
    WearSettings,
    InpaintSettings,
    RetouchSettings,
    ControlSettings,
    RegionSettings,
    PictureSettings,
)


def main() -> None:
    """Read what is asked for, draw the garment in the photo, and save."""
    argv = like(sys.argv[1:], *KINDS)
    settings, wearing, inpainting, retouching, control, region, picture = read_settings(
        __doc__ or "", *KINDS, argv=argv
    )
    request = Request(wearing, picture, control, region, settings, inpainting, retouching)
    settle(request)
    require_writable(wearing.output_dir)

    quiet()
    from lapel.fidelity.studio import open_studio

    outcome = carry_out(request, open_studio(), time_left())
    for path in save([outcome], wearing.output_dir):
        print(path)


if __name__ == "__main__":
    run_program(main)

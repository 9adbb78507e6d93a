"""What a change of clothes takes at the true shapes: the most memory of `inference/try_on.py`, and its seconds.

Bases with random weights are made, offline, in bf16. A drawn person is dressed with the mask made from pose and parsing
map, by the program itself, in a process of its own. What comes out is noise; what is measured does not depend on that.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from evaluation.results import write_figures, write_table

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import runpy, sys
from lapel.memory import peak_memory
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(f"peak {peak_memory()}")
"""
HEAD = """\
| base | photo | steps | most memory, GB | seconds | greatest difference outside |
|---|---|---|---|---|---|"""


@dataclass
class TryOnMemorySettings:
    """On which shapes what is drawn."""

    output_dir: Path = Path("runs/try-on-memory")
    """Takes `try_on_memory.json` and `.md`, and the bases while they are used: 2 GB for SD1.5, 7 GB for SDXL."""

    families: list[Literal["sd15", "sdxl"]] = field(default_factory=lambda: ["sd15"])
    """Shapes of the bases."""

    width: int = 768
    """Of the photo and of what is drawn of it, in pixels."""

    height: int = 1024
    """Of the photo and of what is drawn of it, in pixels."""

    steps: int = 2
    """Denoising steps: memory does not grow with them."""


@dataclass(frozen=True)
class Taken:
    """What one change of clothes took."""

    family: str
    memory: int
    """Bytes resident at most, of the whole process."""
    seconds: float
    outside: int
    """The greatest difference of a channel where the mask leaves the photo alone."""


def measure_try_on_memory(settings: TryOnMemorySettings) -> None:
    """Make the bases and the person, change the clothes on each base, and print the table."""
    import torch

    from lapel.base.stand_in import stand_in

    scratch, taken = settings.output_dir / "scratch", []
    try:
        given = draw_person(settings, scratch)
        for family in settings.families:
            base = scratch / family
            stand_in(family, base, torch.bfloat16)
            taken.append(change(settings, family, base, given, scratch / "images"))
            print(row_text(settings, taken[-1]), file=sys.stderr, flush=True)
            shutil.rmtree(base)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    write_figures(settings.output_dir, "try_on_memory", [asdict(one) for one in taken])
    write_table(settings.output_dir, "try_on_memory", [HEAD, *(row_text(settings, one) for one in taken)])


def draw_person(settings: TryOnMemorySettings, folder: Path) -> list[str]:
    """Write a person, their pose and their parsing map, and give the program's arguments for them."""
    from PIL import Image

    from lapel.photos.people.parsing import write_parsing
    from lapel.photos.people.pose import Pose, write_pose
    from lapel.wardrobe import photograph, sample_garment, sample_shot

    folder.mkdir(parents=True, exist_ok=True)
    side, size = max(settings.width, settings.height), (settings.width, settings.height)
    garment = next(one for one in map(sample_garment, range(100)) if one.kind == "t-shirt")
    person = photograph(garment, sample_shot(1, garment, "worn"), side)
    left, top = ((side - length) // 2 for length in size)
    points = person.keypoints.copy()
    points[:, 0] -= left
    points[:, 1] -= top
    Image.fromarray(person.image[top : top + size[1], left : left + size[0]]).save(folder / "person.png")
    write_parsing(person.parsing[top : top + size[1], left : left + size[0]], folder / "parsing.png")
    write_pose(Pose(points, size), folder / "pose.json")
    files = (f"--{name}={folder / file}" for name, file in (("pose", "pose.json"), ("parsing", "parsing.png")))
    return [f"--image={folder / 'person.png'}", *files, "--garment_words=hoodie, long sleeve"]


def change(settings: TryOnMemorySettings, family: str, base: Path, given: list[str], images: Path) -> Taken:
    """Change the clothes in a process of its own."""
    size = [f"--width={settings.width}", f"--height={settings.height}", "--only_masked=false"]
    asked = [f"--base={base}", f"--steps={settings.steps}", "--prompt=a photo of a person wearing a hoodie", *size]
    command = [sys.executable, "-c", PROGRAM, "inference/try_on.py", *given, *asked, f"--output_dir={images}"]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - started
    *files, peak = done.stdout.strip().splitlines()
    return Taken(family, int(peak.removeprefix("peak ")), seconds, _outside(Path(given[0].partition("=")[2]), files))


def _outside(photo: Path, files: list[str]) -> int:
    """The greatest difference of an image from its photo where neither the mask nor its feather reach."""
    import numpy as np
    from PIL import Image

    from lapel.fidelity.likeness import difference_outside
    from lapel.generation.inpaint import InpaintSettings
    from lapel.generation.patch import soften

    image = next(Path(file) for file in files if Path(file).stem not in ("mask", "sheet"))
    drawn = soften(Image.open(image.parent / "mask.png").convert("L"), 0, InpaintSettings().mask_feather) > 0
    before, after = (np.asarray(Image.open(path).convert("RGB")) for path in (photo, image))
    return difference_outside(after, before, drawn)


def row_text(settings: TryOnMemorySettings, one: Taken) -> str:
    """A line of the markdown table."""
    size = f"{settings.width} x {settings.height}"
    return f"| {one.family} | {size} | {settings.steps} | {one.memory / 1e9:.2f} | {one.seconds:.0f} | {one.outside} |"

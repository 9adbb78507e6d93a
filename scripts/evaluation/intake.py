"""How fast a large folder is taken in, where the time goes, and what memory it needs."""

from __future__ import annotations

import cProfile
import json
import pstats
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lapel.base.settings import BaseSettings
from lapel.files import written_whole
from lapel.memory import peak_memory
from lapel.photos import GarmentFolder, PhotoSettings, read_garment
from lapel.photos.folder import list_garment

_STAGES = {
    "listing and fingerprint": (("folder.py", "list_garment"), ("intake.py", "_fingerprint")),
    "decoding": (("read.py", "read_picture"),),
    "masking": (("__init__.py", "find_mask"),),
    "cutting and measuring": (("buckets.py", "choose_crop"), ("buckets.py", "cut"), ("facts.py", "facts_of")),
    "checking": (("checks.py", "check"),),
}
"""What a share of the time is called, by the functions that it is spent in; none of them calls another."""


@dataclass
class IntakeSettings:
    """What is taken in."""

    output_dir: Path = Path("runs/intake")
    """Takes `intake.json`."""

    photos: int = 1000
    """Photos of one garment of the wardrobe, in every view and scene."""

    size: int = 1024
    """Side of the photos, and the training size, in pixels."""

    encoded: int = 20
    """Photos that the VAE of `base` encodes; its rate is that of all, since they are of one size."""

    base: str = "tiny"
    """The base whose VAE encodes."""


def measure_intake(settings: IntakeSettings) -> None:
    """Photos a second, the shares of the processor's time, and the most memory that was resident."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "garment"
        draw(folder, settings.photos, settings.size)
        photos = PhotoSettings(garment_dir=folder)
        before = peak_memory() / 1e6
        # Processor time, which other work on the machine does not change; the rate of images is by the clock.
        profile = cProfile.Profile(time.process_time)
        started, worked = time.perf_counter(), time.process_time()
        profile.enable()
        list_garment(photos)
        garment = read_garment(photos, settings.size, 64, Path(place) / "cache")
        profile.disable()
        seconds, work = time.perf_counter() - started, time.process_time() - worked
        after = peak_memory() / 1e6
        encoding = seconds_to_encode(garment, settings, Path(place) / "cache")
    stages = shares(profile, work)
    stages["encoding"] = encoding * settings.photos
    total = sum(stages.values())
    print(f"{settings.photos} photos of {settings.size} px, without encoding: {settings.photos / seconds:.2f} a second")
    each = work / settings.photos
    print(f"processor time of a photo: {each:.3f} s, and {encoding:.2f} s to encode it by {settings.base}")
    print(f"most memory resident: {before:.0f} MB before, {after:.0f} MB after\n")
    print("| stage | processor seconds | share |\n|---|---|---|")
    for name, spent in stages.items():
        print(f"| {name} | {spent:.1f} | {100 * spent / total:.0f} % |")
    measured = {"photos": settings.photos, "size": settings.size, "seconds": seconds, "work": work, "stages": stages}
    with written_whole(settings.output_dir / "intake.json") as path:
        text = json.dumps({**measured, "megabytes": [before, after]}, indent=2) + "\n"
        path.write_text(text, encoding="utf-8")


def draw(folder: Path, photos: int, size: int) -> None:
    """Photograph one garment in every view and scene."""
    from tqdm import tqdm

    from lapel.wardrobe import SCENES, VIEWS, sample_garment
    from lapel.wardrobe.folders import write_garment_folder

    garment = sample_garment(1, "train")
    shots = [(VIEWS[number % len(VIEWS)], SCENES[number // len(VIEWS) % len(SCENES)]) for number in range(photos)]
    for number, shot in enumerate(tqdm(shots, desc="drawing", unit="photo", mininterval=1)):
        (drawn,) = write_garment_folder(garment, folder, [shot], size=size, seed=number)
        drawn.rename(folder / f"{number:04}-{shot[0]}.jpg")


def seconds_to_encode(garment: GarmentFolder, settings: IntakeSettings, cache_dir: Path) -> float:
    """Processor seconds of one photo, by the VAE."""
    from lapel.base.load import load_base
    from lapel.training.encoding import encode_photos

    base = load_base(BaseSettings(base=settings.base))
    some = garment.photos.select(range(min(settings.encoded, len(garment.photos))))
    started = time.process_time()
    encode_photos(base, some, cache_dir, PhotoSettings(garment_dir=cache_dir, backdrops=0))
    return (time.process_time() - started) / max(len(some), 1)


def shares(profile: cProfile.Profile, work: float) -> dict[str, float]:
    """Processor seconds by stage; the rest is what Hugging Face datasets takes to compress and write the examples."""
    statistics: Any = pstats.Stats(profile)
    spent = {
        name: sum(
            row[3]
            for (file, _, function), row in statistics.stats.items()
            if (Path(file).name, function) in functions and "lapel" in Path(file).parts
        )
        for name, functions in _STAGES.items()
    }
    return {**spent, "storing": work - sum(spent.values())}

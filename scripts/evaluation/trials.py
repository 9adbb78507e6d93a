"""Trials: garments of the wardrobe that trainers learn, each by each method once, however often one measures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lapel.errors import UserError
from lapel.files import written_whole

if TYPE_CHECKING:
    from lapel.wardrobe import Garment

TRIAL = "trial.json"
ROOT = Path(__file__).resolve().parents[2]

VIEWS = (
    *(("front", "white studio"), ("front", "grey studio"), ("front", "wooden floor")),
    *(("detail", "white studio"), ("worn", "grey studio"), ("worn", "bedroom")),
)
"""View and scene of a garment's photos: what a shop has. The back is left to be guessed."""


def sample_garments(count: int, seed: int) -> list[Garment]:
    """Garments of combinations that `tiny` has never seen, of all kinds in turn: a function of the arguments."""
    from lapel.wardrobe import KINDS, sample_garment

    most = -(-count // len(KINDS))
    garments: list[Garment] = []
    while len(garments) < count:
        garment = sample_garment(seed, "held_out")
        if Counter(known.kind for known in garments)[garment.kind] < most:
            garments.append(garment)
        seed += 1
    return garments


def garment_folder(garment: Garment, root: Path) -> Path:
    """The garment's photos at 512 px, as a shop hands them in, in a folder below `root` that is written once."""
    from lapel.wardrobe.folders import IDENTITY, write_garment_folder

    folder = root / f"{garment.kind} {garment.seed}".replace(" ", "-")
    if not (folder / IDENTITY).is_file():
        write_garment_folder(garment, folder, VIEWS, seed=10 * garment.seed)
    return folder


def train(program: str, garment_dir: Path, run_folder: Path, flags: Sequence[str]) -> Path:
    """Run a trainer on a garment folder, unless this very training has ended before, and return its run folder.

    Raises:
        UserError: the training failed; names its log.
    """
    command = [program, "--garment_dir", str(garment_dir), "--output_dir", str(run_folder), *flags]
    told, log = run_folder / TRIAL, run_folder.with_suffix(".log")
    if told.is_file() and json.loads(told.read_text(encoding="utf-8")) == command:
        return run_folder
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as lines:
        done = subprocess.run(
            [sys.executable, *command, "--overwrite", "true"], cwd=ROOT, stdout=lines, stderr=lines, check=False
        )
    if done.returncode:
        raise UserError(f"{log}: the training of {garment_dir.name} failed; mend what it says and run this again")
    with written_whole(told) as unfinished:
        unfinished.write_text(json.dumps(command) + "\n", encoding="utf-8")
    return run_folder

"""Trials: garments of the wardrobe that trainers learn, each by each training once, whoever asks for it."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from evaluation.planned import load_trainer
from evaluation.stamps import digest, model_stamp, stamp
from lapel.base.find import encoder_file
from lapel.errors import UserError
from lapel.files import written_whole
from lapel.settings import read_settings
from lapel.training.settings import with_preset

if TYPE_CHECKING:
    from lapel.wardrobe import Garment

TRIAL = "trial.json"
"""In a run folder: the settings of a training that has ended, and what it was made of."""
ROOT = Path(__file__).resolve().parents[2]

VIEWS = (
    *(("front", "white studio"), ("front", "grey studio"), ("front", "wooden floor")),
    *(("detail", "white studio"), ("worn", "grey studio"), ("worn", "bedroom")),
)
"""View and scene of a garment's photos: what a shop has. The back is left to be guessed."""

_LETTERED = 5
"""One of so many garments has a printed word, the second of each; of garments as they come, a hundredth has one."""


@dataclass(frozen=True)
class Program:
    """The preset that a trainer takes where it is given none, and what every trial tells it beside."""

    preset: str
    flags: tuple[str, ...]


PROGRAMS = {
    # A checkpoint of the last step is all that shows it where an earlier one is exported.
    "lora": Program("tiny", ("--tracker", "none", "--checkpoint_every", "1000000")),
    "dreambooth": Program("tiny-dreambooth", ("--tracker", "none", "--checkpoint_every", "0")),
}
"""By the name of the trainer."""


@dataclass(frozen=True)
class Training:
    """A trainer with some settings; those that it would have anyway are left out, so that one training is one."""

    program: str
    """Of `PROGRAMS`."""
    settings: tuple[str, ...] = ()
    """Each `name=value`; a list's values by spaces."""

    @staticmethod
    def of(text: str) -> Training:
        """Out of `lora`, or `lora:rank=8,blocks=unet text_encoder`.

        Raises:
            UserError: another program, or settings that it refuses.
        """
        program, _, rest = text.partition(":")
        settings: tuple[str, ...] = tuple(part.strip() for part in rest.split(",")) if rest else ()
        if program not in PROGRAMS:
            raise UserError(f"{text}: no such training; give {' or '.join(PROGRAMS)}, such as lora:rank=8")
        if wrong := [part for part in settings if not re.fullmatch(r"\w+=.*", part)]:
            raise UserError(f"{text}: {wrong[0] or 'nothing'} is no setting; give name=value")
        whole = settled(program, settings)
        for said in settings:
            others = tuple(part for part in settings if part != said)
            # Without a part the others may be refused: it is then no default.
            with contextlib.suppress(UserError):
                settings = others if settled(program, others) == whole else settings
        return Training(program, settings)

    @property
    def text(self) -> str:
        """As `of` reads it."""
        return f"{self.program}:{','.join(self.settings)}" if self.settings else self.program

    def with_settings(self, *settings: str) -> Training:
        """The same with further settings, `name=value`; its own win."""
        own = {part.partition("=")[0] for part in self.settings}
        more = [part for part in settings if part.partition("=")[0] not in own]
        return Training.of(f"{self.program}:{','.join((*self.settings, *more))}") if more else self

    @property
    def name(self) -> str:
        """For files and folders; of texts that no file name can tell apart, with a digest."""
        name = re.sub(r"[^a-z0-9._=-]+", "-", self.text.lower()).strip("-")
        return name if re.fullmatch(r"[a-z0-9._=:, -]*", self.text) else f"{name}-{digest(self.text)[:6]}"

    @property
    def command(self) -> list[str]:
        """The trainer and its flags, without the garment and the run folder."""
        return [f"trainers/{self.program}.py", *_flags(self.program, self.settings)]

    @property
    def settled(self) -> dict[str, Any]:
        """Every setting that it goes by, the preset's and the trainer's defaults among them, as JSON can say it."""
        return dict(settled(self.program, self.settings))

    def is_of(self, known: Mapping[str, Any]) -> bool:
        """Whether what was made with these settings is what this training makes.

        A setting that has come to the trainer since must stand at its default, which leaves everything as it was.
        """
        now, defaults = self.settled, settled(self.program, (), preset=False)
        came = now.keys() - known.keys()
        return {**known, **{name: defaults[name] for name in came}} == now


def _flags(program: str, settings: tuple[str, ...]) -> list[str]:
    pairs = (part.partition("=") for part in settings)
    own = [word for name, _, value in pairs for word in (f"--{name}", *value.split())]
    return [*PROGRAMS[program].flags, *own]


@functools.cache
def settled(program: str, settings: tuple[str, ...], preset: bool = True) -> dict[str, Any]:
    """Every setting that a trainer would go by, by name; `preset` false leaves out all that `PROGRAMS` says.

    Raises:
        UserError: it refuses them.
    """
    trainer = load_trainer(program)
    argv = ["--garment_dir", "."]
    if preset:
        argv = with_preset([*argv, *_flags(program, settings)], PROGRAMS[program].preset)
    flat = trainer.Settings(*read_settings("", *trainer.CLASSES, argv=argv)).flat()
    return dict(json.loads(json.dumps(flat)))


def sample_garments(count: int, seed: int) -> list[Garment]:
    """Garments of combinations that `tiny` has never seen, of all kinds in turn, some with a printed word.

    A function of the arguments, and the first ones are the same for every count, so that more can be added later.
    """
    from lapel.wardrobe import KINDS, sample_garment
    from lapel.wardrobe.vocabulary import PRINT_WORDS

    garments: list[Garment] = []
    while len(garments) < count:
        garment = sample_garment(seed, "held_out")
        seed += 1
        round_of_kinds = garments[len(garments) - len(garments) % len(KINDS) :]
        lettered = len(garments) % _LETTERED == 1
        is_due = lettered or garment.kind not in {known.kind for known in round_of_kinds}
        if is_due and lettered == (garment.print in PRINT_WORDS):
            garments.append(garment)
    return garments


def name_of(garment: Garment) -> str:
    """The garment's, for files and folders."""
    return f"{garment.kind}-{garment.seed}".replace(" ", "-")


def garment_folder(garment: Garment, root: Path) -> Path:
    """The garment's photos at 512 px, as a shop hands them in, in a folder below `root` that is written once."""
    from lapel.wardrobe.folders import IDENTITY, write_garment_folder

    folder = root / name_of(garment)
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f"{folder.name}.lock"):
        if not (folder / IDENTITY).is_file():
            write_garment_folder(garment, folder, VIEWS, seed=10 * garment.seed)
    return folder


def train(training: Training, garment_dir: Path, root: Path) -> Path:
    """Train on a garment folder, unless this very training has ended before, and return its run folder below `root`.

    Raises:
        UserError: the training failed; names its log.
    """
    run = (root / garment_dir.name / training.name).resolve()
    told, log = run / TRIAL, run.parent / f"{run.name}.log"
    run.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(run.parent / f"{run.name}.training.lock"):
        made_of = materials(training, garment_dir)
        if told.is_file():
            known = json.loads(told.read_text(encoding="utf-8"))
            if known.get("made_of") == made_of and training.is_of(known["settings"]):
                return run
        where = ["--garment_dir", str(garment_dir.resolve()), "--output_dir", str(run)]
        command = [sys.executable, *training.command, *where, "--overwrite", "true"]
        with log.open("w", encoding="utf-8") as lines:
            done = subprocess.run(command, cwd=ROOT, stdout=lines, stderr=lines, check=False)
        if done.returncode:
            raise UserError(f"{log}: the training of {garment_dir.name} failed; mend what it says and run this again")
        with written_whole(told) as unfinished:
            unfinished.write_text(json.dumps({"made_of": made_of, "settings": training.settled}), encoding="utf-8")
    return run


def materials(training: Training, garment_dir: Path) -> dict[str, str]:
    """What a training is made of beside its settings: photos, and the weights of base and garment encoder."""
    settings, made_of = training.settled, {"photos": stamp(garment_dir)}
    if base := settings.get("base"):
        made_of["base"] = model_stamp(base)
    if encoder := settings.get("start_from_encoder"):
        made_of["encoder"] = stamp(encoder_file(Path(encoder)))
    return made_of

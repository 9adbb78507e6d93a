"""The garments that methods are examined on: of the wardrobe, or of anybody's photos."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from evaluation.exam_settings import ExamSettings
from evaluation.stamps import digest, stamp
from evaluation.trials import garment_folder, name_of, sample_garments
from lapel.errors import UserError
from lapel.files import written_whole
from lapel.photos import PhotoSettings
from lapel.photos.folder import check_garment_dir

if TYPE_CHECKING:
    from PIL import Image

    from evaluation.truth import Truth
    from lapel.fidelity import ImageTower
    from lapel.photos.folder import Listing, PhotoFile
    from lapel.photos.intake import GarmentFolder
    from lapel.wardrobe import Garment

OfClass = Callable[[], "list[Image.Image]"]
"""Gives what the base draws of the class word alone at the prompts of the scenes, image by image."""

_TAKEN = ("photos", "pictures", "cache", "results")
"""Folders of `trials_dir` that are no garment's."""

PHOTO_SIZE = 512
"""Pixels of a side of a square photo, when photos are measured."""


class Case(ABC):
    """A garment: photos to learn from, and what is known of it beyond them."""

    name: str
    """For files and folders."""
    class_word: str
    printed: str | None = None
    """The word on it, where there is one to be read."""

    @property
    @abstractmethod
    def words(self) -> str:
        """All that words can say of it."""

    @property
    @abstractmethod
    def identity(self) -> Any:
        """What figures of it depend on, as JSON can say it."""

    @abstractmethod
    def photos(self, root: Path) -> Path:
        """The folder, below `root`, of the photos to learn from; written once."""

    @abstractmethod
    def truth(self, settings: ExamSettings, tower: ImageTower, of_class: OfClass) -> Truth:
        """What images of it are held against."""


class DrawnCase(Case):
    """A garment of the wardrobe, of which everything is known."""

    def __init__(self, garment: Garment) -> None:
        from lapel.wardrobe.vocabulary import PRINT_WORDS

        self.garment = garment
        self.printed = garment.print if garment.print in PRINT_WORDS else None
        self.name, self.class_word = name_of(garment), garment.kind

    @property
    def words(self) -> str:
        """Its looks, kind and cut."""
        return self.garment.words()

    @property
    def identity(self) -> Any:
        """Every attribute of the garment."""
        return json.loads(json.dumps(dataclasses.asdict(self.garment)))

    def photos(self, root: Path) -> Path:
        """Photos as a shop hands them in."""
        return garment_folder(self.garment, root)

    def truth(self, settings: ExamSettings, tower: ImageTower, of_class: OfClass) -> Truth:
        """Photos with exact masks, and swaps known pixel for pixel."""
        from evaluation.truth import DrawnTruth

        return DrawnTruth(self, settings, tower, of_class)


class PhotoCase(Case):
    """A garment folder, of which one photo is held out: nobody learns from it, and images are held against it."""

    def __init__(self, folder: Path, cache_dir: Path) -> None:
        """Look at every photo of the folder.

        Raises:
            UserError: the folder's faults, or it has too few photos to spare one.
        """
        self._settings, self._cache_dir = PhotoSettings(garment_dir=folder), cache_dir
        self._listing: Listing = check_garment_dir(self._settings)
        self.name, self.class_word = self._listing.name, self._listing.class_word
        if len(self._listing.photos) < 2:
            raise UserError(f"{folder}: one photo, and one is to be held out; add photos of the garment")
        if self.name in _TAKEN:
            raise UserError(f"{folder}: a folder of that name is to hold other things; rename it")
        self.garment.require_sound()
        self.others: list[PhotoCase] = []
        """The other garments that are examined."""

    @cached_property
    def garment(self) -> GarmentFolder:
        """The photos with their masks."""
        from lapel.photos.intake import read_garment

        return read_garment(self._settings, PHOTO_SIZE, 8, self._cache_dir)

    @cached_property
    def _number(self) -> int:
        """Of the photo that is held out: as a run would choose it, else the last that is no detail."""
        from lapel.training.choice import held_out

        rows = list(self.garment.photos.select_columns(["view", "mask_trust"]))
        whole = [number for number, row in enumerate(rows) if row["view"] != "detail"]
        chosen = held_out(rows)
        return chosen if chosen is not None else (whole or range(len(rows)))[-1]

    @property
    def spare(self) -> Mapping[str, Any]:
        """The row of the photo that is held out."""
        return dict(self.garment.photos[self._number])

    @property
    def learned(self) -> list[Mapping[str, Any]]:
        """The rows of the others."""
        return [row for number, row in enumerate(self.garment.photos) if number != self._number]

    @property
    def words(self) -> str:
        """The colours and the pattern that the intake has found, and the class word."""
        found = self.garment.attributes
        colours = re.sub(r" #\w+", "", found.get("colours", "")).replace(", ", " and ")
        return " ".join(filter(None, (colours, found.get("pattern"), self.class_word)))

    @property
    def identity(self) -> Any:
        """What the folder holds, which photo is held out, and what the others hold, among which it is to be found."""
        return {"own": self._own, "others": sorted(other._own for other in self.others)}

    @cached_property
    def _own(self) -> str:
        return digest([stamp(self._settings.garment_dir), self._number])

    def photos(self, root: Path) -> Path:
        """The other photos with their masks, views and captions, and what the folder says of the garment."""
        folder = root / self.name
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{self.name}.lock"):
            done = folder / ".whole"
            if not done.is_file() or done.read_text(encoding="utf-8") != self._own:
                shutil.rmtree(folder, ignore_errors=True)
                self._write_photos(folder)
                with written_whole(done) as path:
                    path.write_text(self._own, encoding="utf-8")
        return folder

    def _write_photos(self, folder: Path) -> None:
        import yaml

        folder.mkdir()
        for number, photo in enumerate(self._listing.photos):
            if number != self._number:
                # What a feed says of a view, a name says too.
                _copy(
                    photo, folder, f"{number + 1:02}-{photo.view}" if photo.view_source == "feed" else photo.path.stem
                )
        listing = self._listing
        told = {name: getattr(listing, name) for name in ("class_word", "trigger", "colour", "sku")}
        facts = {name: value for name, value in told.items() if value}
        (folder / "garment.yaml").write_text(yaml.safe_dump(facts), encoding="utf-8")

    def truth(self, settings: ExamSettings, tower: ImageTower, of_class: OfClass) -> Truth:
        """The photo held out, and what is around the garment in the others."""
        from evaluation.truth_of_photos import PhotoTruth

        return PhotoTruth(self, settings, tower, of_class)


def _copy(photo: PhotoFile, folder: Path, name: str) -> None:
    shutil.copyfile(photo.path, folder / f"{name}{photo.path.suffix}")
    if photo.mask is not None:
        shutil.copyfile(photo.mask, folder / f"{name}.mask{photo.mask.suffix}")
    if photo.written is not None:
        (folder / f"{name}.txt").write_text(photo.written, encoding="utf-8")


def cases_of(settings: ExamSettings) -> Sequence[Case]:
    """The garments that the settings ask for.

    Raises:
        UserError: everything that is wrong with garment folders.
    """
    if not settings.garment_dir:
        return [DrawnCase(garment) for garment in sample_garments(settings.garments, settings.seed)]
    findings: list[str] = []
    cases = []
    for folder in settings.garment_dir:
        try:
            cases.append(PhotoCase(folder, settings.trials_dir / "cache"))
        except UserError as error:
            findings += error.lines
    names = [case.name for case in cases]
    findings += [
        f"--garment_dir: two folders are named {name}; rename one" for name in set(names) if names.count(name) > 1
    ]
    if findings:
        raise UserError(*findings)
    for case in cases:
        case.others = [other for other in cases if other is not case]
    return cases

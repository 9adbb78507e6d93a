"""Takes the exams that were not taken before, keeps what they gave, and tells how long the others will take."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from evaluation.cases import Case, cases_of
from evaluation.exam_settings import ExamSettings
from evaluation.methods import Method
from evaluation.records import Records
from lapel.errors import UserError
from lapel.files import written_whole

if TYPE_CHECKING:
    from PIL import Image

    from evaluation.exam import Drawn, Exam
    from lapel.fidelity import ImageTower

PICTURES = ("front, beach", "front, snow", "worn, park", "worn, street", "back", "swap: before", "swapped", "truth")
"""What is kept of the images of a whole exam: the first of each."""


Take = Callable[["Exam", Method], "tuple[dict[str, Any], Drawn | None]"]

_WAIT = 5.0
"""Seconds after which those who wait for others look again."""


class Examiner:
    """Knows the garments, and examines each by each method once.

    Args:
        methods: in the order in which they are taken, garment by garment.
        whole: whether the whole exam is taken, or the scenes alone.
        take: gives the figures of an exam, with a `score` among them, and what was drawn, of which pictures are kept;
            the exam itself unless given.

    Raises:
        UserError: printed words are to be read, and the extra for that is missing.
    """

    def __init__(
        self, settings: ExamSettings, methods: Sequence[Method], whole: bool, take: Take | None = None
    ) -> None:
        self.settings, self.methods, self.whole = settings, methods, whole
        self.take = take or (lambda exam, method: exam.take(method, whole))
        self.records = Records(settings)
        self.cases = cases_of(settings)
        if settings.text:
            require_reader(self.cases)
        require_names(methods)
        self._tower: ImageTower | None = None
        self._exam: Exam | None = None
        self._began, self._unknown = 0.0, 0

    def examined(self) -> Iterator[Sequence[Case]]:
        """Take every exam that is not known, and give the garments that are done, whenever these have become more.

        Several processes may do so at once, with the same folders: each takes what no other is at.
        """
        self._began, self._unknown = time.perf_counter(), self._left()
        for done, case in enumerate(self.cases, start=1):
            while self._open(case):
                if not self._take_one():
                    time.sleep(_WAIT)
            yield self.cases[:done]

    def figures(self, case: Case, method: Method) -> dict[str, Any]:
        """The figures of an exam that was taken."""
        known = self.records.read(case, method, self.whole)
        assert known is not None, f"{method.name} was not examined on {case.words}"
        return known

    def _open(self, case: Case) -> list[Method]:
        """The methods whose figures are not known."""
        return [one for one in self.methods if self.records.read(case, one, self.whole) is None]

    def _left(self) -> int:
        """How many exams are not known."""
        return sum(len(self._open(case)) for case in self.cases)

    def _take_one(self) -> bool:
        """Take the first exam that is neither known nor with another process; whether there was any."""
        return any(self._take_free(case, method) for case in self.cases for method in self._open(case))

    def _take_free(self, case: Case, method: Method) -> bool:
        lock = self.settings.trials_dir / case.name / f"{method.name}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        claim = FileLock(lock)
        try:
            claim.acquire(blocking=False)
        except Timeout:
            return False
        try:
            is_open = method in self._open(case)
            if is_open:
                self._take(case, method)
        finally:
            claim.release()
        return is_open

    def _take(self, case: Case, method: Method) -> None:
        figures, drawn = self.take(self.exam(case), method)
        if drawn is not None and self.whole:
            self._keep_pictures(case, method, drawn)
        self.records.keep(case, method, self.whole, figures)
        assert method not in self._open(case), f"{method.name} would be examined again and again"
        self._tell(case, method, figures)

    def exam(self, case: Case) -> Exam:
        """The exam of a garment; of the last one asked for it stays in memory."""
        from evaluation.exam import Exam
        from lapel.fidelity import ImageTower
        from lapel.training.launch import device

        self._tower = self._tower or ImageTower(self.settings.tower, str(device()), wants_text=True)
        if self._exam is None or self._exam.case is not case:
            self._exam = Exam(case, self.settings, self._tower)
        return self._exam

    def pictures(self, case: Case, name: str) -> list[Image.Image]:
        """`PICTURES` of a garment by the method of that name; none where no exam of it left them here."""
        from PIL import Image

        path = self._picture_file(case, name)
        if not path.is_file():
            return []
        with Image.open(path) as strip:
            side = strip.height
            places = range(0, strip.width, side)
            return [strip.convert("RGB").crop((left, 0, left + side, side)) for left in places]

    def _keep_pictures(self, case: Case, method: Method, drawn: Drawn) -> None:
        from PIL import Image

        shown = [*drawn.scenes[:: self.settings.images], *drawn.back[:1]]
        for swap, painted in list(zip(self.exam(case).truth.swaps, drawn.swaps, strict=True))[:1]:
            shown += [Image.fromarray(swap.before), painted[0], Image.fromarray(swap.truth)]
        path = self._picture_file(case, method.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as unfinished:
            Image.fromarray(np.concatenate([np.asarray(picture) for picture in shown], axis=1)).save(unfinished)

    def _picture_file(self, case: Case, name: str) -> Path:
        return self.settings.trials_dir / "pictures" / case.name / f"{name}.png"

    def _tell(self, case: Case, method: Method, figures: dict[str, Any]) -> None:
        """A line on how it came out, and the time left, at the rate of all processes so far."""
        left = self._left()
        minutes = round((time.perf_counter() - self._began) * left / max(1, self._unknown - left) / 60)
        number = self.cases.index(case) + 1
        where = f"garment {number} of {len(self.cases)}, {case.words}, {method.title}"
        score = f"score {figures['score']:.3f}" if "score" in figures else "measured"
        print(f"{where}: {score}; about {minutes // 60}:{minutes % 60:02d} h left", file=sys.stderr, flush=True)


def require_names(methods: Sequence[Method]) -> None:
    """Refuse methods whose results would lie in one file.

    Raises:
        UserError: two of them have one name.
    """
    known: dict[str, Method] = {}
    for method in methods:
        if known.setdefault(method.name, method) != method:
            raise UserError(f"--methods: {method.name} is the name of two; leave one out")


def require_reader(cases: Sequence[Case]) -> None:
    """Refuse to begin what would end, hours later, at the first garment with a printed word.

    Raises:
        UserError: a garment has one, and the extra that reads it is not installed.
    """
    there = all(importlib.util.find_spec(name) for name in ("rapidocr_onnxruntime", "rapidfuzz"))
    if not there and any(case.printed for case in cases):
        raise UserError('reading prints takes an extra: pip install "lapel[ocr]", or give --text false')

"""The benchmark of single-garment adaptation: every method on the same garments, held against the exact truth.

Each garment is learned from six photos by every method that learns, and then (A) painted onto a person who wears
another colourway of it, (B) drawn in scenes and from a side that no photo shows, (C) looked for among others that are
nearly the same, (D) read where it has a printed word, (E) looked for where nobody asked for it; (F) is what that costs.
A run that was stopped goes on where it was, several at once share the work, and naming another method adds a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evaluation.exam_settings import ExamSettings
from evaluation.examiner import PICTURES, Examiner
from evaluation.methods import method_named, registry
from evaluation.results import interval, write_figures, write_table
from lapel.errors import UserError
from lapel.files import written_whole

if TYPE_CHECKING:
    from evaluation.cases import Case


@dataclass
class BenchmarkSettings(ExamSettings):
    """Which methods are held against each other, on how many garments."""

    output_dir: Path = Path("runs/benchmark")
    """Takes `benchmark.json`, `benchmark.md`, and in `sheets/` a contact sheet for each garment."""

    methods: list[str] = field(default_factory=list)
    """Names of the registry, or new ones: `lora:kind=rslora,rank=8`, `dreambooth:prior=none`, `encoder:FILE`; all of
    the registry that the base can do unless given. The table has these, and all others that were examined on the same
    garments before."""

    def __post_init__(self) -> None:
        """Refuse methods that nobody knows, beside what `ExamSettings` refuses.

        Raises:
            UserError: the first such method.
        """
        super().__post_init__()
        fit = [name for name, method in registry().items() if self.base == "tiny" or not method.is_of_tiny]
        self.methods = self.methods or fit
        for text in self.methods:
            if method_named(text).is_of_tiny and self.base != "tiny":
                raise UserError(f"--methods {text}: the garment encoder that lapel ships is one for tiny alone")


def measure_benchmark(settings: BenchmarkSettings) -> None:
    """Examine every garment by every method, and print the table."""
    methods = list(dict.fromkeys(settings.fitted(method_named(text)) for text in settings.methods))
    examiner = Examiner(settings, methods, whole=True)
    for cases in examiner.examined():
        records = in_order(examiner.records.rows(cases))
        write_sheet(examiner, cases[-1], {name: title for name, (title, _) in records.items()})
        rows = [table_row(title, figures) for title, figures in records.values()]
        measured = {"garments": len(cases), "untouched": untouched(records), "rows": rows, "gains": gains(records)}
        write_figures(settings.output_dir, "benchmark", measured)
    write_table(settings.output_dir, "benchmark", table_lines(measured))


class Column(NamedTuple):
    """A column of the table."""

    key: str
    """Of the figures."""
    head: str
    form: str
    unit: float = 1
    words: str = ""
    greatest: bool = False
    """Whether it tells the greatest figure of all garments, rather than their mean."""


COLUMNS = (
    Column("swap_ssim", "A swap: SSIM", ".3f"),
    Column("swap_lpips", "LPIPS", ".3f"),
    Column("swap_colour", "colour", ".1f"),
    Column("swap_outside", "differs outside", ".0f", greatest=True),
    Column("score", "B scenes: score", ".3f"),
    Column("colour", "colour", ".1f"),
    Column("identity", "similarity", ".3f"),
    Column("scene", "scene right", ".0f", 0.01, " %"),
    Column("back_colour", "back: colour", ".1f"),
    Column("back_identity", "similarity", ".3f"),
    Column("retrieval", "C found", ".0f", 0.01, " %"),
    Column("text", "D print: errors", ".2f"),
    Column("leak", "E leak: scene", ".3f"),
    Column("person", "person", ".3f"),
    Column("drift", "class drift", ".3f"),
    Column("seconds", "F seconds", ".0f"),
    Column("memory", "memory", ".2f", 1e9, " GB"),
    Column("bytes", "file", ".1f", 1e6, " MB"),
)


Rows = Mapping[str, tuple[str, list[dict[str, Any]]]]
"""Title and figures of methods by name, as `Records.rows` gives them."""


def in_order(records: Rows) -> Rows:
    """The registry's order; what is not of it comes before the real photos, which are last."""
    methods = [method.title for method in registry().values()]
    place = {title: number for number, title in enumerate(methods)}
    return dict(sorted(records.items(), key=lambda row: place.get(row[1][0], len(methods) - 1.5)))


def table_row(title: str, figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of every column over the garments that have it, with the ends of its interval; None where none has."""
    row: dict[str, Any] = {"method": title}
    for column in COLUMNS:
        values = [one[column.key] for one in figures if one.get(column.key) is not None]
        mean, low, high = interval(values) if values else (None, None, None)
        shown = max(values) if values and column.greatest else mean
        row[column.key] = {"value": shown, "low": low, "high": high, "garments": len(values)}
    return row


RIVALS = ("base", "lora")
"""Methods, by the names of their figures, whose score the others' is compared with."""


def gains(records: Rows) -> list[dict[str, Any]]:
    """What the score of every method gains on each of `RIVALS`, garment by garment, with the ends of its interval; None
    on itself."""
    scores: dict[str, list[Any]] = {
        name: [one.get("score") for one in figures] for name, (_, figures) in records.items()
    }
    known = {name: values for name, values in scores.items() if None not in values and len(values) > 1}
    rivals = [name for name in RIVALS if name in known]

    def over(name: str, rival: str) -> dict[str, float] | None:
        if name == rival:
            return None
        gained = interval([one - other for one, other in zip(known[name], known[rival], strict=True)])
        return dict(zip(("gain", "low", "high"), gained, strict=True))

    told = {name: {records[rival][0]: over(name, rival) for rival in rivals} for name in known}
    return [{"method": records[name][0], "over": rows} for name, rows in told.items()]


def untouched(records: Rows) -> dict[str, float]:
    """What swaps measure where the person is left in the other colourway: the same of every method. Empty without
    swaps."""
    _, figures = next(iter(records.values()))
    names = [name for name in ("before_ssim", "before_colour") if all(name in one for one in figures)]
    return {name: interval([one[name] for one in figures])[0] for name in names}


def table_lines(measured: Mapping[str, Any]) -> Iterator[str]:
    """The table in markdown, each mean with half its 90 % interval, and what belongs to it."""
    rows, before = measured["rows"], measured["untouched"]
    columns = [column for column in COLUMNS if any(row[column.key]["garments"] for row in rows)]
    yield f"| method | {' | '.join(column.head for column in columns)} |"
    yield "|---" * (1 + len(columns)) + "|"
    for row in rows:
        yield f"| {row['method']} | {' | '.join(cell(column, row[column.key]) for column in columns)} |"
    yield ""
    text = (
        f"{measured['garments']} garments, {rows[0]['text']['garments']} with a printed word; \N{PLUS-MINUS SIGN} is "
        "half of the 90 % interval over resampled garments."
    )
    if before:
        ssim, colour = before["before_ssim"], before["before_colour"]
        text += f" Left as it was, the person of A has SSIM {ssim:.3f} and colour {colour:.1f}."
    yield text
    yield from gain_lines(measured["gains"])


def gain_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The table of gains in markdown; nothing where none can be told."""
    rivals = list(rows[0]["over"]) if len(rows) > 1 else []
    if not rivals:
        return
    yield ""
    yield f"| score of B, garment by garment | {' | '.join(f'against {rival} (90 %)' for rival in rivals)} |"
    yield "|---" * (1 + len(rivals)) + "|"
    for row in rows:
        cells = [
            f"{one['gain']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})" if one else ""
            for one in row["over"].values()
        ]
        yield f"| {row['method']} | {' | '.join(cells)} |"


def cell(column: Column, figure: Mapping[str, Any]) -> str:
    """A cell of the table; empty where there is nothing to say."""
    if figure["value"] is None:
        return ""
    value = f"{figure['value'] / column.unit:{column.form}}"
    if figure["garments"] > 1 and not column.greatest:
        half = (figure["high"] - figure["low"]) / 2
        value += f" \N{PLUS-MINUS SIGN} {half / column.unit:{column.form}}"
    return value + column.words


def write_sheet(examiner: Examiner, case: Case, titles: Mapping[str, str]) -> None:
    """The contact sheet of a garment: a row for each method of which there are pictures."""
    from lapel.sheet import contact_sheet

    known = [(title, examiner.pictures(case, name)) for name, title in titles.items()]
    shown = [(title, pictures) for title, pictures in known if pictures]
    if not shown:
        return
    labels, rows = zip(*shown, strict=True)
    path = examiner.settings.output_dir / "sheets" / f"{case.name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished:
        contact_sheet(rows, labels, PICTURES, case.words).save(unfinished)

"""`report.html`: one page, whole in one file, that shows what a run saw, did and made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lapel.adapters.card import KOHYA_SUFFIX, is_checkpoint, weight_of
from lapel.adapters.kinds import DIFFUSERS_FILE
from lapel.files import written_whole
from lapel.report.charts import in_title, measure_charts, training_charts
from lapel.report.embed import DRAWING, embedded, read_picture, render_page
from lapel.report.loading import ways_to_load
from lapel.report.run import SAMPLES, Run, read_run
from lapel.report.samples import PIXELS, sample_sheet
from lapel.report.scores import score_table

PAGE = "report.html"

SHEET = 1600
"""Pixels of the longer side of other pictures in `samples/`; the files themselves are as they were drawn."""

MOST_OTHERS = 12
"""Of such pictures, by name."""


def write_report(run_folder: Path) -> Path:
    """Write `report.html` from what the run folder holds, and return its path.

    Read are `settings.yaml`, `log.jsonl`, `samples/` and `photos/`, and of a finished run `card.json`; whatever is
    missing is left out. So the page can be written anew at any time, also while the run goes on.

    Raises:
        UserError: it is no run folder, or one of its files cannot be read.
    """
    run = read_run(run_folder)
    samples = sample_sheet(run_folder / SAMPLES, run.kept_step)
    training, measures = training_charts(run.log), measure_charts(run.log)
    html = render_page(
        "report.html.jinja",
        extras=DRAWING if training or measures else (),
        run=run,
        facts=list(_facts(run)),
        samples=samples,
        best=samples.row_of(run.kept_step),
        others=_other_pictures(run_folder / SAMPLES, bool(samples.rows)),
        scores=score_table(run.card),
        measures=measures,
        training=training,
        loading=ways_to_load(run.card) if run.finished else [],
        files=list(_files(run)) if run.finished else [],
        phases=_phases(run.card.get("seconds") or {}),
        plan=list(_plan(run.card.get("plan") or {})),
    )
    path = run_folder / PAGE
    with written_whole(path) as unfinished:
        # What no text can hold, such as half a surrogate pair, is shown as a browser shows it.
        unfinished.write_text(html, encoding="utf-8", errors="xmlcharrefreplace")
    return path


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    """The run in a few figures, for the head of the page."""
    if run.base:
        yield "base", run.base
    kind, rank = run.settings.get("kind"), run.settings.get("rank")
    if is_checkpoint(run.card):
        yield "adapter", "a whole checkpoint"
    elif kind:
        yield "adapter", f"{kind}, rank {rank}" if rank else str(kind)
    if run.steps:
        whole = run.steps_taken == run.steps
        yield "steps", str(run.steps) if whole else f"{run.steps_taken} of {run.steps}"
    if (chosen := run.card.get("kept_step")) is not None:
        yield "kept step", str(chosen)
    if (weight := weight_of(run.card)) != 1:
        yield "best weight", f"{weight:g}"
    if count := run.garment.get("count") or run.card.get("photos"):
        yield "photos", str(count)
    if views := run.card.get("views") or _views(run):
        yield "views seen", ", ".join(views)
    if seconds := run.card.get("seconds"):
        yield "time", duration(sum(seconds.values()))
    if memory := run.card.get("peak_memory"):
        yield "most memory", gigabytes(memory)


def _views(run: Run) -> list[str]:
    return sorted({row["view"] for row in run.garment.get("photos", []) if row["view"]})


def duration(seconds: float) -> str:
    """Seconds as people say them: "8.5 s", "1 min 38 s", "2 h 5 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _phases(seconds: dict[str, float]) -> list[tuple[str, str, float]]:
    """Phase, its time in words, and its share of the longest one in percent."""
    longest = max(seconds.values(), default=0) or 1
    return [(name, duration(value), 100 * value / longest) for name, value in seconds.items()]


def _plan(plan: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What the plan predicted, name and memory in words; the peak of each phase by itself."""
    for name, value in plan.items():
        if isinstance(value, Mapping):
            yield from ((f"{in_title(name)}: {phase}", gigabytes(of_phase)) for phase, of_phase in value.items())
        else:
            yield in_title(name), gigabytes(value)


def gigabytes(value: Any) -> Any:
    """Bytes as "1.69 GB"; anything else as it is."""
    return f"{value / 1e9:.2f} GB" if isinstance(value, int) and not isinstance(value, bool) else value


def _other_pictures(folder: Path, has_rows: bool) -> list[tuple[str, str]]:
    """Name and data URL of pictures in `samples/` beside the sheet that the page's own rows stand for."""
    kinds = (".png", ".jpg", ".jpeg", ".webp")
    found = (path for path in folder.glob("*") if path.is_file() and path.suffix.lower() in kinds)
    shown = sorted(path for path in found if not (has_rows and path.stem == "sheet"))[:MOST_OTHERS]
    side = min(SHEET, int((PIXELS / max(1, len(shown))) ** 0.5))
    return [(path.stem, embedded(read_picture(path), side)) for path in shown]


def _files(run: Run) -> Iterator[dict[str, Any]]:
    """The run's files that are there: name, link from the page, size in words, and what each is for."""
    name = run.card["name"]
    uses = {
        f"{name}{KOHYA_SUFFIX}": "WebUI, Forge, ComfyUI, InvokeAI and lapel",
        f"{name}-lora{KOHYA_SUFFIX}": "the nearest LoRA, for the base itself",
        DIFFUSERS_FILE: "diffusers",
        f"{name}.json": "what WebUI and Forge show and type beside it",
        f"{name}.png": "its picture in WebUI and Forge",
        f"{name}.workflow.json": "a workflow: drop it onto ComfyUI's canvas",
        f"{name}.workflow-api.json": "the same for requests to ComfyUI",
        "card.json": "all about it, for programs",
        "README.md": "its card, for a model hub",
        "settings.yaml": "repeats the run: give it to the trainer with --config",
    }
    for file, use in {**dict.fromkeys(map(str, run.card.get("files") or []), ""), **uses}.items():
        path = run.folder / Path(file).name
        if path.is_file():
            yield {"name": path.name, "link": quote(path.name), "size": _size(path), "use": use}


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{max(size / 1e3, 0.1):.1f} kB"

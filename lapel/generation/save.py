"""The files that come of requests: images with their settings, what was measured, maps, and a sheet of all."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lapel.files import written_whole
from lapel.generation.carry_out import Outcome
from lapel.generation.images import next_number, write_image
from lapel.generation.parsed import write_parsed
from lapel.generation.retouching import words


def save(outcomes: Sequence[Outcome], folder: Path, labels: Sequence[str] = ()) -> list[Path]:
    """Write each image under its number and seed, beside what is there already, and what else came of the requests.

    Args:
        labels: of the sheet's rows, one for each outcome; its prompt unless given.

    Returns:
        the images, the contact sheet, and the parsing maps that were made.

    Raises:
        OSError: a file cannot be written.
    """
    from lapel.sheet import contact_sheet

    paths, retouched, number = [], {}, next_number(folder)
    for outcome in outcomes:
        for drawn in outcome.images:
            paths.append(folder / f"{number:04d}-{drawn.seed}.png")
            write_image(paths[-1], drawn.image, drawn.parameters)
            number += 1
            if drawn.retouched:
                retouched[paths[-1].name] = drawn.retouched
                print(f"{paths[-1].name}: {words(drawn.retouched)}", file=sys.stderr)
        for picture, name in outcome.beside:
            if name == "mask":
                with written_whole(folder / "mask.png") as unfinished:
                    picture.save(unfinished, format="PNG")
    if retouched:
        with written_whole(folder / "retouched.json") as unfinished:
            unfinished.write_text(json.dumps(retouched, indent=2) + "\n", encoding="utf-8")
    rows = [[*(shown for shown, _ in one.beside), *(drawn.image for drawn in one.images)] for one in outcomes]
    columns = [*(name for _, name in outcomes[0].beside), *(f"seed {drawn.seed}" for drawn in outcomes[0].images)]
    sheet = contact_sheet(rows, labels or [outcome.prompt for outcome in outcomes], columns)
    paths.append(folder / "sheet.png")
    with written_whole(paths[-1]) as unfinished:
        sheet.save(unfinished)
    return [*paths, *write_parsed([made for outcome in outcomes for made in outcome.maps], folder)]

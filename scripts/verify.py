"""Tell what every front end makes of an adapter: python scripts/verify.py FILE --base BASE

The file's layers are matched with the base's, each front end's rules are gone through, and the file is worn twice: by
its formulas, added to the base's weights, and by diffusers' own loader. Layers and outputs must agree. With --comfyui,
ComfyUI's own loader reads base and file too. The exit code is 1 where a front end that the layout is meant for would
leave something out.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lapel.base.find import check_base
from lapel.base.settings import BaseSettings, Precision
from lapel.errors import UserError, run_program
from lapel.quiet import quiet
from lapel.settings import read_settings

if TYPE_CHECKING:
    from lapel.adapters.clients import Verdict
    from lapel.adapters.comfyui import ComfyReading
    from lapel.adapters.compare import Agreement
    from lapel.adapters.read import Adapter
    from lapel.base.base import Base


@dataclass
class VerifySettings:
    """Which file, on which base."""

    file: Path
    """The adapter, in any layout. May be given without the flag, as the first word."""

    base: str
    """What it is made for: `tiny`, a hub id, a diffusers folder or a single file."""

    precision: Precision = "fp32"
    """Of the base while outputs are compared; fp32 shows the file's own error, bf16 takes half the memory."""

    comfyui: Path | None = None
    """A folder with ComfyUI, whose own loader then reads the base and the file in fp32, in a process of its own: takes
    twice the base's memory, and needs what ComfyUI's requirements.txt names."""

    def __post_init__(self) -> None:
        if self.comfyui is not None and self.precision != "fp32":
            raise ValueError("--comfyui compares in fp32; leave --precision out")


def main() -> None:
    """Read, judge, compare, and say it in a table."""
    argv = sys.argv[1:]
    (settings,) = read_settings(
        __doc__ or "", VerifySettings, argv=["--file", *argv] if argv and not argv[0].startswith("-") else argv
    )
    base_settings = BaseSettings(base=settings.base, precision=settings.precision)
    check_base(base_settings)
    comfyui = settings.comfyui and find_comfyui(settings.comfyui)
    quiet()
    from lapel.adapters.clients import judge, meant_for
    from lapel.adapters.compare import readings_agree
    from lapel.adapters.names import names_of
    from lapel.adapters.read import read_adapter
    from lapel.base.load import load_base

    base = load_base(base_settings)
    adapter = read_adapter(settings.file, names_of(base.family, base.models))
    verdicts = judge(adapter)
    agreement = readings_agree(base, adapter)
    print("\n".join(lines(adapter, base.family.title, verdicts, agreement)))
    readings = [] if comfyui is None else comfyui_readings(base, adapter, comfyui)
    wanted = [verdict for verdict in verdicts if verdict.client in meant_for(adapter)]
    if any(verdict.faults for verdict in wanted) or (agreement is not None and not agreement.close):
        raise SystemExit(1)
    if any(reading.messages or not reading.close for reading in readings):
        raise SystemExit(1)


def find_comfyui(folder: Path) -> Path:
    """The folder that holds ComfyUI's package `comfy`.

    Raises:
        UserError: it is not there.
    """
    if not (folder / "comfy" / "sd.py").is_file():
        raise UserError(f"{folder}: no ComfyUI in it (no comfy/sd.py); give --comfyui the folder of its main.py")
    return folder.resolve()


def comfyui_readings(base: Base, adapter: Adapter, comfyui: Path) -> list[ComfyReading]:
    """What ComfyUI's own loader makes of base and file, said line by line.

    Raises:
        UserError: not a file that ComfyUI is meant for, or a ComfyUI that does not start.
    """
    from lapel.adapters.comfyui import comfy_lines, read_by_comfyui

    if adapter.layout != "kohya":
        raise UserError(
            f"{adapter.path}: in {adapter.layout}'s layout, which ComfyUI is not given; leave --comfyui out"
        )
    readings = read_by_comfyui(base, [adapter], comfyui)
    print("\n".join(["", *comfy_lines(readings)]))
    return readings


def lines(adapter: Adapter, family: str, verdicts: list[Verdict], agreement: Agreement | None) -> list[str]:
    """The table for people."""
    count = len(adapter.layers)
    found = [
        f"{adapter.path}: {count} layers in {adapter.layout}'s layout, all of them found in this {family} base",
        "",
    ]
    for verdict in verdicts:
        word = "loads whole" if not verdict.faults else f"{verdict.layers} of {count} layers"
        found.append(f"  {verdict.client:<10} {word:<20} {'; '.join(verdict.faults)}".rstrip())
    found.append("")
    if agreement is None:
        return [*found, "diffusers does not read this kind of adapter, so that there is nothing to compare"]
    word = "agree" if agreement.close else "DO NOT AGREE"
    return [
        *found,
        f"by its formulas and by diffusers' loader, {agreement.layers} layers and the outputs {word}: the worst layer "
        f"differs by {agreement.worst_layer:.2e}, the output by {agreement.output:.2e}, of an effect of "
        f"{agreement.effect:.2%}",
    ]


if __name__ == "__main__":
    run_program(main)

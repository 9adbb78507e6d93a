"""Whether adapters and bases come back from every format as they went in, at the true shapes of all families.

Bases of the published shapes with random weights are made, offline, and LoRA, LoCon and DoRA that change every layer,
text encoders too. They are written and read in all layouts, converted between them both ways, and read by diffusers'
own loader; bases go from a folder to a single file and back. A family takes up to 14 GB of memory (sdxl; the others 8)
and 25 GB of disk while it is measured. One that stands in `formats.json` already is shown, not measured again.
"""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from evaluation.results import write_figures

Shape = Literal["tiny", "sd15", "sd2", "sdxl"]

MODULES: dict[str, tuple[int, int, int]] = {"sd15": (192, 278, 72), "sd2": (192, 278, 138), "sdxl": (722, 788, 264)}
"""Layers of the UNet that a LoRA changes, that a LoCon changes, and layers of the text encoders."""
BASE_TENSORS = {"sd15": 1130, "sd2": 1226}
"""Tensors of a single file. SD 2's have 1228 with the text projection and the logit scale, which nothing uses."""
FLOORS: dict[str, float] = {"fp32": 1e-6, "fp16": 2e-3}
"""What rounding the factors to a file's precision, twice where it is converted, changes of a layer at most."""
BF16 = ("sdxl",)
"""Families that are computed in bf16, for want of memory; the others in fp32."""
BF16_FLOORS = {"LoRA": 4e-3, "LoCon": 4e-3, "DoRA": 1.4e-2}
"""In these, diffusers' loader rounds both factors to bf16, and a DoRA's lengths, which scale the whole weight, of which
the change is 0.3."""


@dataclass
class FormatSettings:
    """Which families are tried."""

    output_dir: Path = Path("runs/formats")
    """Takes `formats.json`, and bases and adapters while a family is measured."""

    families: list[Shape] = field(default_factory=lambda: ["tiny", "sd15", "sd2", "sdxl"])
    """`tiny`, `sd15`, `sd2` and `sdxl`, in the order given."""


def measure_formats(settings: FormatSettings) -> None:
    """Measure the families that are not measured yet, and print what was found for all of them.

    Raises:
        SystemExit: 1, where a difference is above its precision's floor, or a count is wrong.
    """
    path = settings.output_dir / "formats.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for family in settings.families:
        if family not in found:
            found[family] = measure_family(family, settings.output_dir / "scratch")
            write_figures(settings.output_dir, "formats", found)
    print("\n".join(table(found)))
    wrong = [line for family, measured in found.items() for line in faults(family, measured)]
    if wrong:
        raise SystemExit("\n".join(wrong))


def measure_family(family: str, scratch: Path) -> dict[str, Any]:
    """Every way of every kind of adapter, and the base's own round trip."""
    import torch

    from evaluation.formats_adapters import learn, ways_of
    from evaluation.formats_bases import load, round_trip
    from lapel.base.find import TINY_FOLDER
    from lapel.base.stand_in import stand_in

    folder = TINY_FOLDER if family == "tiny" else scratch / "base"
    try:
        if family != "tiny":
            shutil.rmtree(scratch, ignore_errors=True)
            print(f"{family}: making a base of its shape", flush=True)
            stand_in(family, folder, torch.bfloat16, "v_prediction" if family == "sd2" else "epsilon")
        ways = []
        for kind in ("LoRA", "LoCon", "DoRA"):
            print(f"{family}: {kind}", flush=True)
            base = load(folder, family)
            learn(base, kind)
            ways += [asdict(way) for way in ways_of(base, kind, scratch / "adapters")]
            shutil.rmtree(scratch / "adapters")
            del base
            gc.collect()
        print(f"{family}: folder to single file to folder", flush=True)
        return {"ways": ways, "round_trip": round_trip(folder, family, scratch)}
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def faults(family: str, measured: dict[str, Any]) -> list[str]:
    """What is above its floor or counted otherwise than front ends were measured with."""
    wrong = []
    # Of outputs, with fp16 files and after a round trip, where only the order of sums differs.
    worn, again = (3e-2, 3e-2) if family in BF16 else (1e-3, 1e-5)
    for way in measured["ways"]:
        rounded = family in BF16 and way["column"] == "loader"
        if not way["difference"] <= (BF16_FLOORS[way["kind"]] if rounded else FLOORS[way["precision"]]):
            wrong.append(f"{family} {way['kind']}, {way['name']}: a layer differs by {way['difference']:.2e}")
        if way["output"] is not None and not way["output"] <= worn:
            wrong.append(f"{family} {way['kind']}, {way['name']}: the outputs differ by {way['output']:.2e}")
        if family in MODULES:
            unet, convolutions, text = MODULES[family]
            expected = text + (convolutions if way["kind"] == "LoCon" else unet)
            if way["layers"] != expected:
                wrong.append(f"{family} {way['kind']}, {way['name']}: {way['layers']} layers, not {expected}")
            if way["name"] == "kohya" and way["kind"] in ("LoRA", "LoCon") and way["tensors"] != 3 * expected:
                wrong.append(f"{family} {way['kind']}, {way['name']}: {way['tensors']} tensors, not {3 * expected}")
    trip = measured["round_trip"]
    if trip["single_file_weights"] or trip["folder_weights"]:
        wrong.append(f"{family}: weights of the base are not the same after a round trip")
    if not max(trip["single_file"], trip["folder"]) <= again:
        wrong.append(f"{family}: the base's outputs are not the same after a round trip")
    if trip["tensors"] != BASE_TENSORS.get(family, trip["tensors"]):
        wrong.append(f"{family}: {trip['tensors']} tensors in a single file, not {BASE_TENSORS[family]}")
    return wrong


_COLUMNS = ("kohya", "diffusers", "peft", "converted", "loader")


def table(found: dict[str, Any]) -> list[str]:
    """For people: the worst layer by family, kind and precision of the file; and the bases' round trips."""
    lines = [
        "| family | adapter | file | layers | kohya | diffusers | peft | converted | diffusers' loader | outputs |"
    ]
    lines += ["|" + "---|" * 10]
    for family, measured in found.items():
        for kind, precision in dict.fromkeys((way["kind"], way["precision"]) for way in measured["ways"]):
            ways = [way for way in measured["ways"] if (way["kind"], way["precision"]) == (kind, precision)]
            cells = [_worst(way["difference"] for way in ways if way["column"] == column) for column in _COLUMNS]
            cells.append(_worst(way["output"] for way in ways if way["output"] is not None))
            layers = "/".join(map(str, dict.fromkeys(way["layers"] for way in ways)))
            lines.append(f"| {family} | {kind} | {precision} | {layers} | {' | '.join(cells)} |")
    lines += [
        "",
        "| family | tensors in a single file | weights | changed | outputs of the file | of the folder made of it |",
    ]
    lines += ["|" + "---|" * 6]
    for family, measured in found.items():
        trip = measured["round_trip"]
        changed = trip["single_file_weights"] + trip["folder_weights"]
        figures = (
            f"{trip['tensors']} | {trip['weights']} | {changed} | {trip['single_file']:.1e} | {trip['folder']:.1e}"
        )
        lines.append(f"| {family} | {figures} |")
    return lines


def _worst(values: Iterable[float]) -> str:
    numbers = list(values)
    return f"{max(numbers):.1e}" if numbers else "-"

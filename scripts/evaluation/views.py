"""How often the zero-shot reading of photos is right: views, places and patterns of wardrobe photos."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from evaluation.results import write
from lapel.photos.reading import SURE, Choice


@dataclass
class ViewSettings:
    """What is read, and by whom."""

    reader: str = "tiny"
    """As the trainers' `--reader`."""

    output_dir: Path = Path("runs/views")
    """Takes `views.json`, and `views.png`, a sheet of sure readings of views that are wrong."""

    photos: int = 500
    """Photos of the wardrobe, half of garments that `tiny` never saw."""

    size: int = 256
    """Side of those photos, in pixels."""

    first_seed: int = 3_000_000
    """Of the garments and shots."""


SHOWN = 12


def measure_views(settings: ViewSettings) -> None:
    """For each kind of word: how often the likeliest is right, how often it is sure, and how often right when sure."""
    from PIL import Image
    from tqdm import tqdm

    from lapel.fidelity.readers import load_reader
    from lapel.photos.reading import read_attributes, read_scene, read_view
    from lapel.sheet import contact_sheet
    from lapel.wardrobe import SCENE_WORDS, photograph, sample_garment, sample_shot

    reader = load_reader(settings.reader)
    assert reader is not None
    read: dict[str, list[tuple[Choice, str]]] = defaultdict(list)
    wrong: list[tuple[Image.Image, str]] = []
    for number in tqdm(range(settings.photos), desc="reading", unit="photo", mininterval=1):
        seed = settings.first_seed + number
        garment = sample_garment(seed, "train" if number % 2 else "held_out")
        shot = sample_shot(seed, garment)
        picture = Image.fromarray(photograph(garment, shot, settings.size).image)
        view = read_view(reader, picture, garment.kind)
        read["view"].append((view, shot.view))
        read["place"].append((read_scene(reader, picture, garment.kind), SCENE_WORDS[shot.scene]))
        if garment.pattern in reader.attributes.get("pattern", ()):
            read["pattern"].append((read_attributes(reader, picture, garment.kind)["pattern"], garment.pattern))
        if view.sure and view.word != shot.view:
            wrong.append((picture.resize((160, 160)), f"{view.word} for {shot.view}"))
    print(f"\n| read by {settings.reader} | photos | likeliest is right | sure ({SURE} and more) | right when sure |")
    print("|---|---|---|---|---|")
    for of, choices in read.items():
        print(_line(of, choices))
    for view_word in dict.fromkeys(truth for _, truth in read["view"]):
        print(_line(f"- {view_word}", [pair for pair in read["view"] if pair[1] == view_word]))
    figures = {
        of: [{"read": choice.word, "probability": choice.probability, "truth": truth} for choice, truth in choices]
        for of, choices in read.items()
    }
    sheet = contact_sheet(
        [[picture] for picture, _ in wrong[:SHOWN]] or [[Image.new("RGB", (160, 160))]],
        [label for _, label in wrong[:SHOWN]] or ["none wrong"],
    )
    write(settings.output_dir, "views", figures, sheet)


def _line(name: str, choices: list[tuple[Choice, str]]) -> str:
    sure = [(choice, truth) for choice, truth in choices if choice.sure]
    right = mean(choice.word == truth for choice, truth in choices)
    when_sure = f"{100 * mean(choice.word == truth for choice, truth in sure):.0f} %" if sure else "-"
    return f"| {name} | {len(choices)} | {100 * right:.0f} % | {100 * len(sure) / len(choices):.0f} % | {when_sure} |"

"""Measure what was learned: python scripts/evaluate.py learning|tiny [settings]

learning: garments of the wardrobe, by (a) the base with the trigger, (b) the base with a full caption, (c) the adapter.
tiny: whether the embedded base draws what its prompts say, on combinations that it has never seen.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from lapel.base.find import TINY_FOLDER
from lapel.base.settings import BaseSettings
from lapel.errors import UserError, run_program
from lapel.fidelity.alternatives import ATTRIBUTES, Subject, read_right
from lapel.files import require_writable, written_whole
from lapel.generation import Request, generate
from lapel.quiet import quiet
from lapel.report.card import read_card
from lapel.report.loading import DIFFUSERS_FILE
from lapel.settings import read_settings

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from lapel.fidelity import ImageTower
    from lapel.wardrobe import Garment


@dataclass
class LearningSettings:
    """Which adapters are measured against which garments, and on how many images."""

    run: list[Path]
    """Run folders of adapters that learned wardrobe garments."""

    garment_dir: list[Path]
    """The garment folder of each run, with the `garment.json` that the wardrobe wrote."""

    output_dir: Path = Path("runs/learning")
    """Takes `learning.json`, `learning.md` and `learning.png`."""

    tower: Path = TINY_FOLDER
    """A base folder with the image tower that measures."""

    scenes: tuple[str, ...] = ("beach", "snow", "brick wall")
    """Scenes that no photo of the garments shows."""

    images: int = 8
    """Images for each garment, scene and method, with seeds from 0."""

    steps: int = 30
    """Denoising steps."""

    guidance: float = 5.0
    """Classifier-free guidance."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            UserError: runs and garment folders that do not pair.
        """
        if len(self.run) != len(self.garment_dir):
            raise UserError(f"{len(self.run)} runs for {len(self.garment_dir)} garment folders; give one for each")
        for folder in self.garment_dir:
            if not (folder / "garment.json").is_file():
                raise UserError(f"{folder}: no garment.json; only garments of the wardrobe can be photographed anew")

    def request(self, prompt: str) -> Request:
        """The request for the images of one prompt, the same seeds for every one."""
        return Request(prompt=prompt, steps=self.steps, guidance=self.guidance, images=self.images, batch=self.images)


@dataclass
class TinySettings:
    """How closely the embedded base is looked at."""

    base: Path = TINY_FOLDER
    """A base folder with an image tower."""

    output_dir: Path = Path("runs/tiny")
    """Takes `tiny.json` and `tiny.png`."""

    prompts: int = 200
    """Held-out combinations, each drawn once."""

    steps: int = 30
    """Denoising steps."""

    guidance: float = 5.0
    """Classifier-free guidance."""

    first_seed: int = 1_000_000
    """Of the garments, beyond those that the base was trained on."""


def main() -> None:
    """Run the measurement that the first word names."""
    programs: dict[str, tuple[Callable[[Any], None], type]] = {
        "learning": (measure_learning, LearningSettings),
        "tiny": (measure_tiny, TinySettings),
    }
    word = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if word in ("-h", "--help"):
        print(__doc__)
        return
    if word not in programs:
        raise UserError(f"{word}: no such measurement; choose one of {', '.join(programs)}")
    program, settings_class = programs[word]
    (settings,) = read_settings(__doc__ or "", settings_class, argv=sys.argv[2:])
    require_writable(settings.output_dir)
    quiet()
    program(settings)


def measure_learning(settings: LearningSettings) -> None:
    """The table of methods: colour, similarity to held-out photos, and scenes read right."""
    from lapel.fidelity import ImageTower
    from lapel.sheet import contact_sheet

    tower = ImageTower(settings.tower)
    rows, pictures = [], []
    for run, folder in zip(settings.run, settings.garment_dir, strict=True):
        for row, images in measure_garment(settings, tower, run, folder):
            rows.append(row)
            pictures.append([image for of_scene in images for image in of_scene[:SHOWN]])
            print(row_text(row), file=sys.stderr, flush=True)
    columns = [scene for scene in settings.scenes for _ in range(min(SHOWN, settings.images))]
    labels = [f"{row['garment']}\n{row['method']}" for row in rows]
    write(settings.output_dir, "learning", rows, contact_sheet(pictures, labels, columns))
    table = "\n".join([HEAD, *map(row_text, rows)])
    with written_whole(settings.output_dir / "learning.md") as path:
        path.write_text(table + "\n", encoding="utf-8")
    print(table)


def measure_garment(
    settings: LearningSettings, tower: ImageTower, run: Path, folder: Path
) -> Iterator[tuple[dict[str, Any], list[list[Image.Image]]]]:
    """Scores and images (a list for each scene) of every method, and of other real photos: what a perfect one gets."""
    from lapel.wardrobe import phrase
    from lapel.wardrobe.folders import read_identity

    card = read_card(next((path for path in run.glob("*.safetensors") if path.name != DIFFUSERS_FILE), run))
    garment, words = read_identity(folder), f"{card['trigger']} {card['class_word']}"
    photos = Photos(garment, settings, series=0)
    methods: list[tuple[str, str, Path | None]] = [
        ("(a) base, trigger", words, None),
        ("(b) base, full caption", garment.words(), None),
        ("(c) adapter", words, run / f"{card['name']}.safetensors"),
    ]
    for method, name, adapter in methods:
        pipeline = load_pipeline(card["base"], adapter)
        drawn = [generate(pipeline, settings.request(phrase(name, "front", scene))) for scene in settings.scenes]
        yield {"garment": card["name"], "method": method, **photos.scores(tower, drawn)}, drawn
    real = Photos(garment, settings, series=1).images
    yield {"garment": card["name"], "method": "other real photos", **photos.scores(tower, real)}, real


SHOWN = 3
"""Images of each scene on the contact sheet."""

SIZE = 96
"""Pixels of a side of the held-out photos: `tiny`'s own, and its image tower's."""

HEAD = "| garment | method | colour, delta E 2000 | similarity | scene read right |\n|---|---|---|---|---|"


def row_text(row: dict[str, Any]) -> str:
    """A line of the markdown table."""
    shares = f"{row['colour']:.1f} | {row['similarity']:.3f} | {100 * row['scene']:.0f} %"
    return f"| {row['garment']} | {row['method']} | {shares} |"


def load_pipeline(base: str, adapter: Path | None) -> Any:
    """The base's stock pipeline, with the adapter where there is one."""
    from lapel.adapters.wear import wear
    from lapel.base.load import load_base

    pipeline = load_base(BaseSettings(base=base)).pipeline()
    if adapter is not None:
        wear(pipeline, [(adapter, 1.0)])
    return pipeline


class Photos:
    """Held-out photos of a garment: front views in the scenes asked for, with exact masks, drawn anew.

    `images` has `settings.images` PIL images for each scene; another `series` gives other photos.
    """

    def __init__(self, garment: Garment, settings: LearningSettings, series: int) -> None:
        from PIL import Image

        from lapel.fidelity import median_lab
        from lapel.wardrobe import photograph, sample_shot

        self.images: list[list[Image.Image]] = []
        self.labs: list[np.ndarray] = []
        self.subjects = [[Subject(garment, "front", scene)] * settings.images for scene in settings.scenes]
        for number, scene in enumerate(settings.scenes):
            seeds = [900_000 + 10_000 * series + 100 * number + image for image in range(settings.images)]
            photos = [photograph(garment, sample_shot(seed, garment, "front", scene), SIZE) for seed in seeds]
            self.images.append([Image.fromarray(photo.image) for photo in photos])
            self.labs += [median_lab(photo.image, photo.mask) for photo in photos]

    def scores(self, tower: ImageTower, drawn: Sequence[Sequence[Image.Image]]) -> dict[str, float]:
        """How near images, a list for each scene, come to these photos.

        `colour` is the median delta E 2000 between an image's garment region and the photos' median colour,
        `similarity` the mean cosine to the photos of the same scene, `scene` the share of images whose scene is read
        right.
        """
        import numpy as np

        from lapel.fidelity.colour import delta_e, median_lab
        from lapel.fidelity.region import garment_region

        colour = np.median(self.labs, axis=0)
        arrays = [np.asarray(image) for images in drawn for image in images]
        differences = [float(delta_e(median_lab(image, garment_region(image)), colour)) for image in arrays]
        pairs = zip(drawn, self.images, self.subjects, strict=True)
        similarities, right = [], []
        for images, photos, subjects in pairs:
            similarities.append(float(tower.similarity(images, photos).mean()))
            right += read_right(tower, images, subjects, "scene")
        return {"colour": median(differences), "similarity": mean(similarities), "scene": mean(right)}


SHEET_ROWS, SHEET_IMAGES = 12, 5
"""Prompts on the sheet of `tiny`, and the images drawn for each; only the first of them is measured."""


def measure_tiny(settings: TinySettings) -> None:
    """What the towers read in generated images, against real renders of the same captions; and the VAE's PSNR."""
    from PIL import Image

    from lapel.base.load import load_base
    from lapel.fidelity import ImageTower
    from lapel.sheet import contact_sheet
    from lapel.wardrobe import photograph, sample_garment, sample_shot

    tower = ImageTower(settings.base)
    base = load_base(BaseSettings(base=str(settings.base), precision="fp32"))
    pipeline = base.pipeline()
    subjects, real, drawn, rows_shown = [], [], [], []
    for number in range(settings.prompts):
        seed = settings.first_seed + number
        garment = sample_garment(seed, "held_out")
        shot = sample_shot(seed, garment, ("front", "worn")[number % 2])
        subjects.append(Subject(garment, shot.view, shot.scene))
        real.append(Image.fromarray(photograph(garment, shot, base.resolution).image))
        request = Request(
            prompt=subjects[-1].caption(),
            steps=settings.steps,
            guidance=settings.guidance,
            seeds=[number],
            images=SHEET_IMAGES if number < SHEET_ROWS else 1,
            batch=SHEET_IMAGES,
        )
        images = generate(pipeline, request)
        drawn.append(images[0])
        rows_shown.append([real[-1], *images])
        print(f"\rdrawing: {number + 1} of {settings.prompts}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    rows = []
    for attribute in ATTRIBUTES:
        shares = [mean(read_right(tower, images, subjects, attribute)) for images in (drawn, real)]
        ratio = shares[0] / shares[1] if shares[1] else math.nan
        rows.append({"attribute": attribute, "generated": shares[0], "real": shares[1], "ratio": ratio})
    psnr = mean(reconstruction_psnr(base, image) for image in real)
    print("| attribute | generated | real | ratio |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row['attribute']} | {row['generated']:.3f} | {row['real']:.3f} | {row['ratio']:.2f} |")
    print(f"\nVAE reconstruction: {psnr:.2f} dB PSNR over {len(real)} held-out renders")
    captions = [subject.caption() for subject in subjects[:SHEET_ROWS]]
    columns = ["real render", *[f"drawn, seed +{number}" for number in range(SHEET_IMAGES)]]
    sheet = contact_sheet(rows_shown[:SHEET_ROWS], captions, columns, "Prompts of combinations never trained on")
    write(settings.output_dir, "tiny", {"attributes": rows, "vae_psnr": psnr}, sheet)


def reconstruction_psnr(base: Any, image: Image.Image) -> float:
    """PSNR in dB of the VAE's reconstruction of an RGB image, from the mean of its latents."""
    import numpy as np
    import torch

    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        latents = base.vae.encode(pixels.to(base.device)).latent_dist.mean
        decoded = base.vae.decode(latents).sample.clamp(-1, 1)
    return 10 * math.log10(4 / max(1e-12, float((decoded.cpu() - pixels).square().mean())))


def write(folder: Path, name: str, measured: Any, sheet: Image.Image) -> None:
    """`<name>.json` and `<name>.png`."""
    with written_whole(folder / f"{name}.json") as path:
        path.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    with written_whole(folder / f"{name}.png") as path:
        sheet.save(path)


if __name__ == "__main__":
    run_program(main)

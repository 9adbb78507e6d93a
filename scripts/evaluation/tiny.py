"""Whether the embedded base draws what its prompts say, on combinations that it has never seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from evaluation.results import write
from lapel.base.find import TINY_FOLDER
from lapel.base.settings import BaseSettings
from lapel.fidelity.alternatives import ATTRIBUTES, Subject, read_right
from lapel.generation import PictureSettings, generate_together

if TYPE_CHECKING:
    from PIL import Image


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

    batch: int = 20
    """Images drawn at once."""

    first_seed: int = 1_000_000
    """Of the garments, beyond those that the base was trained on."""


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
    subjects, real, pictures = [], [], []
    for number in range(settings.prompts):
        seed = settings.first_seed + number
        garment = sample_garment(seed, "held_out")
        shot = sample_shot(seed, garment, ("front", "worn")[number % 2])
        subjects.append(Subject(garment, shot.view, shot.scene))
        real.append(Image.fromarray(photograph(garment, shot, base.resolution).image))
        picture = PictureSettings(
            prompt=subjects[-1].caption(),
            steps=settings.steps,
            guidance=settings.guidance,
            seeds=[number],
            images=SHEET_IMAGES if number < SHEET_ROWS else 1,
            batch=settings.batch,
        )
        pictures.append(picture)
    images = draw(pipeline, pictures)
    drawn = [of_prompt[0] for of_prompt in images]
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
    shown = [[render, *of_prompt] for render, of_prompt in zip(real, images[:SHEET_ROWS], strict=False)]
    sheet = contact_sheet(shown, captions, columns, "Prompts of combinations never trained on")
    write(settings.output_dir, "tiny", {"attributes": rows, "vae_psnr": psnr}, sheet)


def draw(pipeline: Any, pictures: Sequence[PictureSettings]) -> list[list[Image.Image]]:
    """The images of every picture, under a progress bar."""
    from tqdm import tqdm

    with tqdm(desc="draw", unit="step", mininterval=1) as bar:

        def tell(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return generate_together(pipeline, pictures, tell)


def reconstruction_psnr(base: Any, image: Image.Image) -> float:
    """PSNR in dB of the VAE's reconstruction of an RGB image, from the mean of its latents."""
    import numpy as np
    import torch

    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        latents = base.vae.encode(pixels.to(base.device)).latent_dist.mean
        decoded = base.vae.decode(latents).sample.clamp(-1, 1)
    return 10 * math.log10(4 / max(1e-12, float((decoded.cpu() - pixels).square().mean())))

"""Builds `tiny`, the embedded base, from nothing but the wardrobe.

    python scripts/build_tiny.py --output_dir build/tiny

draws the photos, trains autoencoder, CLIP towers and UNet one after the other, and writes a diffusers folder. Every
stage keeps its state in the output folder: a run that was stopped goes on where it was, and a finished stage is not
repeated. With `--start_from BASE` the stages go on from a finished base's weights, and a stage of 0 steps leaves them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lapel.errors import run_program
from lapel.files import written_whole
from lapel.quiet import quiet
from lapel.report.curve import loss_curve
from lapel.settings import read_settings

if TYPE_CHECKING:
    from lapel.training.pretraining.pool import Pool


@dataclass
class BuildSettings:
    """How long and on what `tiny` is trained."""

    output_dir: Path
    """Where states, logs and the finished base go."""
    stage: Literal["all", "photos", "vae", "towers", "image_tower", "unet", "assemble", "card"] = "all"
    """One stage alone; vae and towers need each other's results no more than photos does, so that they can run side
    by side."""
    start_from: Path | None = None
    """A base folder whose weights are trained further; by default all begin at random."""
    photos: int = 48000
    """How many photos the pool holds: about 27 KB each."""
    vae_steps: int = 1800
    """Of 12 crops each."""
    families: int = 6000
    """How many families of eight siblings the towers learn to tell apart."""
    tower_steps: int = 387
    """Of 96 pairs each."""
    image_steps: int = 3800
    """Of 96 photos each, for the image tower alone, against the text tower as it then is."""
    coarse_steps: int = 1500
    """UNet steps of 16 at two thirds of the size, where they cost half and teach most of what words mean."""
    unet_steps: int = 6800
    """UNet steps of 16 at the full size."""
    threads: int = 2
    """CPU threads."""
    compile: bool = True
    """Whether the UNet is compiled: its steps take about two thirds of the time, after some minutes of compiling. It
    needs a C++ compiler."""


def main() -> None:
    """Run the stages that are asked for."""
    (settings,) = read_settings(__doc__ or "", BuildSettings)
    quiet()
    import torch

    from lapel.training.pretraining.pool import draw_pool

    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    pool = draw_pool(settings.output_dir, settings.photos, 96, settings.threads)
    stages = {
        "vae": build_vae,
        "towers": build_towers,
        "image_tower": build_image_tower,
        "unet": build_unet,
        "assemble": assemble,
        "card": write_model_card,
    }
    for name, stage in stages.items():
        if settings.stage in ("all", name):
            stage(settings, pool)


def parts(settings: BuildSettings) -> Any:
    """The base as the training finds it: with random weights, always the same, or those it starts from."""
    from lapel.base.shapes import random_pipeline

    pipeline = random_pipeline("tiny", settings.output_dir / "base", seed=0)
    if settings.start_from is not None:
        for name in ("vae", "text_encoder", "unet"):
            part = getattr(pipeline, name)
            part.load_state_dict(type(part).from_pretrained(settings.start_from, subfolder=name).state_dict())
    return pipeline


def towers(settings: BuildSettings) -> tuple[Any, Any, Any]:
    """Text tower, image tower and logit scale as the training finds them, as in `parts`."""
    import torch
    from safetensors.torch import load_file
    from transformers import CLIPTextModelWithProjection, CLIPVisionConfig, CLIPVisionModelWithProjection

    from lapel.base.shapes import IMAGE_TOWER, text_tower_config
    from lapel.training.pretraining.towers import LogitScale

    torch.manual_seed(1)
    image, scale = CLIPVisionModelWithProjection(CLIPVisionConfig(**IMAGE_TOWER)), LogitScale()
    text = CLIPTextModelWithProjection(text_tower_config("tiny"))
    if settings.start_from is not None:
        head = load_file(settings.start_from / "text_projection.safetensors")
        text.text_model.load_state_dict(parts(settings).text_encoder.state_dict())
        text.text_projection.load_state_dict({"weight": head["text_projection.weight"]})
        scale.load_state_dict({"value": head["logit_scale"]})
        image = CLIPVisionModelWithProjection.from_pretrained(settings.start_from / "image_encoder").float()
    return text, image, scale


def draw_families(settings: BuildSettings) -> Pool:
    """Siblings for the towers."""
    from lapel.training.pretraining.pool import draw_pool, sibling
    from lapel.wardrobe import SIBLINGS

    return draw_pool(settings.output_dir, settings.families * SIBLINGS, 96, settings.threads, sibling)


def build_vae(settings: BuildSettings, pool: Pool) -> Any:
    """Train the autoencoder, or read it where it is trained."""
    from lapel.training.pretraining.loop import Recipe
    from lapel.training.pretraining.vae import train_vae

    vae = parts(settings).vae
    train_vae(vae, pool, Recipe(settings.vae_steps, batch=12, learning_rate=1.5e-3), settings.output_dir)
    return vae.eval()


def build_towers(settings: BuildSettings, pool: Pool) -> tuple[Any, Any, Any]:
    """Train the CLIP towers, or read them where they are trained."""
    from lapel.training.pretraining.loop import Recipe
    from lapel.training.pretraining.towers import train_towers

    text, image, scale = towers(settings)
    folder, tokenizer, families = settings.output_dir, parts(settings).tokenizer, draw_families(settings)
    recipe = Recipe(settings.tower_steps, batch=96, learning_rate=7e-4)
    train_towers(text, image, scale, tokenizer, pool, families, recipe, folder, "towers")
    return text.eval(), image.eval(), scale


def build_image_tower(settings: BuildSettings, pool: Pool) -> tuple[Any, Any, Any]:
    """Train the image tower further against the text tower, or read both where they are trained."""
    from lapel.training.pretraining.image_tower import train_image_tower
    from lapel.training.pretraining.loop import Recipe

    text, image, scale = build_towers(settings, pool)
    recipe = Recipe(settings.image_steps, batch=96, learning_rate=1e-3, decay=0.5)
    families, tokenizer = draw_families(settings), parts(settings).tokenizer
    train_image_tower(text, image, scale, tokenizer, pool, families, recipe, settings.output_dir, "image-tower")
    return text.eval(), image.eval(), scale


def encode(settings: BuildSettings, pool: Pool, size: int, count: int) -> Any:
    """Encode the first `count` photos at that size, and all captions, for the UNet."""
    from lapel.training.pretraining.towers import encode_captions
    from lapel.training.pretraining.unet import Encoded
    from lapel.training.pretraining.vae import encode_pool, scaling_factor

    vae, (text, _, _), tokenizer = build_vae(settings, pool), build_towers(settings, pool), parts(settings).tokenizer
    factor = scaling_factor(vae, pool)
    mean, std = encode_pool(vae, pool.images, count, size, settings.output_dir)
    states = encode_captions(text, tokenizer, ["", *pool.captions], settings.output_dir)
    return Encoded(mean * factor, std * factor, states[1 : count + 1], states[0])


def build_unet(settings: BuildSettings, pool: Pool) -> Any:
    """Train the UNet, first on reduced photos, or read it where it is trained."""
    from diffusers import DDPMScheduler

    from lapel.base.shapes import noise_schedule
    from lapel.training.pretraining.loop import Recipe
    from lapel.training.pretraining.unet import train_unet

    unet, scheduler = parts(settings).unet, DDPMScheduler(**noise_schedule("tiny"))
    # The coarse stage ends at its full rate: the decay would be spent on a size that nobody draws at.
    coarse = Recipe(settings.coarse_steps, batch=16, learning_rate=1e-3, decay=0.01, compiled=settings.compile)
    fine = Recipe(settings.unet_steps, batch=16, learning_rate=1e-3, decay=0.5, compiled=settings.compile)
    for name, size, recipe in (("unet-coarse", 64, coarse), ("unet", 96, fine)):
        if not recipe.steps:
            continue
        # A short stage does not see every photo, and what it does not see is not encoded.
        count = min(settings.photos, recipe.steps * recipe.batch)
        train_unet(unet, scheduler, encode(settings, pool, size, count), recipe, settings.output_dir, name)
    return unet.eval()


def assemble(settings: BuildSettings, pool: Pool) -> None:
    """Write the finished base, in fp16, as a diffusers folder: `output_dir/base`."""
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPImageProcessor, CLIPTextModel

    from lapel.training.pretraining.vae import scaling_factor

    folder, pipeline = settings.output_dir / "base", parts(settings)
    text, image, scale = build_image_tower(settings, pool)
    pipeline.vae = build_vae(settings, pool)
    pipeline.vae.register_to_config(scaling_factor=scaling_factor(pipeline.vae, pool))
    pipeline.unet = build_unet(settings, pool)
    encoder = CLIPTextModel(text.config)
    encoder.load_state_dict(text.text_model.state_dict(), strict=False)
    pipeline.text_encoder = encoder
    pipeline.to(torch.float16).save_pretrained(folder)
    image.half().save_pretrained(folder / "image_encoder")
    size = image.config.image_size
    CLIPImageProcessor(size=size, crop_size=size).save_pretrained(folder / "feature_extractor")
    # What a text tower needs beyond `CLIPTextModel` to be compared with the image tower.
    head = {"text_projection.weight": text.text_projection.weight.half(), "logit_scale": scale.value.half()}
    with written_whole(folder / "text_projection.safetensors") as path:
        save_file({name: tensor.detach().contiguous() for name, tensor in head.items()}, path)
    print(f"{folder}: {sum(file.stat().st_size for file in folder.rglob('*') if file.is_file()) / 1e6:.1f} MB")


CURVES = {
    "vae": "autoencoder",
    "towers": "CLIP towers",
    "image-tower": "image tower",
    "unet-coarse": "UNet at 64 px",
    "unet": "UNet at 96 px",
}
CURVE_STYLE = (
    "<style>.grid{stroke:#ccc}text{font:12px sans-serif;fill:#666}.raw{fill:none;stroke:#9bb;stroke-opacity:.5}"
    ".smooth{fill:none;stroke:#267;stroke-width:2}</style>"
)


def write_model_card(settings: BuildSettings, pool: Pool) -> None:
    """Measure the base (`evaluate.py tiny`) and write its card: figures, contact sheet and curves of the training."""
    folder, evaluation = settings.output_dir / "base", settings.output_dir / "evaluation"
    program = Path(__file__).with_name("evaluate.py")
    command = [sys.executable, str(program), "tiny", "--base", str(folder), "--output_dir", str(evaluation)]
    subprocess.run(command, check=True)
    measured = json.loads((evaluation / "tiny.json").read_text(encoding="utf-8"))
    shutil.copyfile(evaluation / "tiny.png", folder / "sheet.png")
    logs = {name: settings.output_dir / f"{name}.jsonl" for name in CURVES}
    drawn = [name for name, log in logs.items() if log.exists()]
    for name in drawn:
        lines = logs[name].read_text(encoding="utf-8").splitlines()
        points = {point["step"]: point["loss"] for point in map(json.loads, lines)}
        curve = loss_curve(list(points), list(points.values()))
        curve = curve.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(">", f">{CURVE_STYLE}", 1)
        with written_whole(folder / f"{name}.svg") as path:
            path.write_text(curve, encoding="utf-8")
    rows = "\n".join(
        f"| {row['attribute']} | {row['generated']:.0%} | {row['real']:.0%} | {row['ratio']:.2f} |"
        for row in measured["attributes"]
    )
    curves = "\n".join(f"| {CURVES[name]} | ![loss by step]({name}.svg) |" for name in drawn)
    card = Path(__file__).with_name("tiny_card.md").read_text(encoding="utf-8")
    for mark, text in (("ROWS", rows), ("PSNR", f"{measured['vae_psnr']:.1f}"), ("CURVES", curves)):
        card = card.replace(f"[{mark}]", text)
    with written_whole(folder / "README.md") as path:
        path.write_text(card, encoding="utf-8")
    print(folder / "README.md")


if __name__ == "__main__":
    run_program(main)

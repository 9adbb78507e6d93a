"""The base line's run, in a process of its own: load, learn, save, as the best-known example scripts do."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lapel.memory import peak_memory
from lapel.photos.folder import PHOTO_SUFFIXES
from lapel.training.clock import Clock


def run(given: dict[str, Any]) -> dict[str, Any]:
    """Learn a LoRA and write it into `folder`; returns the seconds by phase, and the most memory."""
    clock = Clock.from_launch()
    with clock.phase("imports"):
        import torch
        from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
        from diffusers.utils import convert_state_dict_to_diffusers
        from peft.utils import get_peft_model_state_dict
        from transformers import AutoTokenizer, CLIPTextModel

        from lapel.adapters.settings import AdapterSettings
        from lapel.adapters.targets import layer_sizes
        from lapel.base.base import DTYPES
        from speed.plain import PlainStep, adapt
    with clock.phase("load"):
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        base, dtype = given["base"], DTYPES[given["precision"]]
        scheduler = DDPMScheduler.from_pretrained(base, subfolder="scheduler")
        tokenizer = AutoTokenizer.from_pretrained(base, subfolder="tokenizer", use_fast=False)
        kinds: dict[str, Any] = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel}
        models = {name: kind.from_pretrained(base, subfolder=name) for name, kind in kinds.items()}
        for model in models.values():
            model.requires_grad_(False).to(device, dtype)
        unet = models["unet"]
        targets = [name.removeprefix("unet.") for name in layer_sizes({"unet": unet}, AdapterSettings())]
        adapt(unet, targets, given["rank"])
        step = PlainStep(unet, models["vae"], models["text_encoder"], scheduler)
    with clock.phase("step"):
        photos = sorted(path for path in Path(given["garment_dir"]).iterdir() if path.suffix.lower() in PHOTO_SUFFIXES)
        for number in range(given["steps"]):
            pixels = _pixels(photos[number % len(photos)], given["resolution"])
            step(pixels, _tokens(tokenizer, "a photo of ohwx t-shirt").to(device))
    with clock.phase("export"):
        state = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
        StableDiffusionPipeline.save_lora_weights(given["folder"], unet_lora_layers=state)
    return {"phases": clock.seconds, "most": peak_memory(device.type)}


def _pixels(path: Path, side: int) -> Any:
    """A photo, resized and cropped to a square, (1, 3, side, side) in [-1, 1]: decoded in every step."""
    from torchvision import transforms

    from PIL import Image  # isort: skip

    resize = transforms.Resize(side, interpolation=transforms.InterpolationMode.BILINEAR)
    steps = [resize, transforms.CenterCrop(side), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
    return transforms.Compose(steps)(Image.open(path).convert("RGB"))[None]


def _tokens(tokenizer: Any, caption: str) -> Any:
    wanted = {"truncation": True, "padding": "max_length", "max_length": 77, "return_tensors": "pt"}
    return tokenizer(caption, **wanted).input_ids


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))

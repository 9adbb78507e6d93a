"""Run ComfyUI's own loader in a process of its own: python comfyui_child.py COMFYUI_FOLDER JOB_FOLDER

It imports nothing of lapel, so that ComfyUI finds its own modules and settings only. The job folder holds `job.json`
(`checkpoint`, `adapters`, `encoders`) and `inputs.safetensors`; `results.json` and `outputs.safetensors` are written
into it. Everything runs in fp32 on the CPU.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any


class Messages(logging.Handler):
    """Keeps what is warned of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Remember a message."""
        self.lines.append(record.getMessage())


def main() -> None:
    """Load the checkpoint, then wear each adapter on it, and write what the models give."""
    comfyui, job_folder = Path(sys.argv[1]), Path(sys.argv[2])
    sys.argv = sys.argv[:1]  # ComfyUI reads flags of its own
    sys.path.insert(0, str(comfyui))
    from comfy.cli_args import args

    args.cpu, args.force_fp32 = True, True
    import comfy.sd
    import comfy.utils
    import torch
    from safetensors.torch import load_file, save_file

    messages = Messages()  # from here on: what is missing for other models is no matter of this one
    logging.getLogger().addHandler(messages)
    job = json.loads((job_folder / "job.json").read_text(encoding="utf-8"))
    inputs = load_file(job_folder / "inputs.safetensors")
    fp32 = {"dtype": torch.float32}
    model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(
        job["checkpoint"], model_options=fp32, te_model_options=fp32
    )
    outputs: dict[str, Any] = {}
    results = [{"file": job["checkpoint"], "patched": 0, "messages": messages.lines.copy()}]
    with torch.no_grad():
        decoder = vae.first_stage_model.float()
        outputs["vae"] = decoder.decode(inputs["vae_latents"])
        outputs |= run(model, clip, inputs, job["encoders"], "0")
        for number, path in enumerate(job["adapters"], 1):
            messages.lines.clear()
            tensors = comfy.utils.load_torch_file(path)
            worn, worn_clip = comfy.sd.load_lora_for_models(model, clip, tensors, 1.0, 1.0)
            outputs |= run(worn, worn_clip, inputs, job["encoders"], str(number))
            patched = len(worn.patches) + len(worn_clip.patcher.patches)
            results.append({"file": path, "patched": patched, "messages": messages.lines.copy()})
    save_file({name: value.float().contiguous() for name, value in outputs.items()}, job_folder / "outputs.safetensors")
    (job_folder / "results.json").write_text(json.dumps(results), encoding="utf-8")


def run(model: Any, clip: Any, inputs: dict[str, Any], encoders: list[str], number: str) -> dict[str, Any]:
    """What the UNet and the text encoders give; each is patched by ComfyUI as for a picture, and put back after."""
    import comfy.model_management

    tokens = {name: [[(int(token), 1.0) for token in inputs[f"tokens_{name}"][0]]] for name in encoders}
    text = clip.encode_from_tokens(tokens)
    comfy.model_management.load_models_gpu([model], force_full_load=True)
    unet = model.model.diffusion_model
    noise = unet(inputs["latents"], inputs["timesteps"], context=inputs["context"], y=inputs.get("y"))
    # Before the next adapter is worn, the models are to be themselves again.
    comfy.model_management.unload_all_models()
    return {f"unet_{number}": noise, f"text_{number}": text}


if __name__ == "__main__":
    main()

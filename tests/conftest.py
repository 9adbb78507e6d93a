"""What all tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker has a core of its own; so have the programs that it starts. torch reads this once, on its import.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from lapel.quiet import quiet

quiet()

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="module")
def fresh_accelerate() -> Iterator[None]:
    """accelerate keeps one state a process: the precision of one file's tests is none of the next one's business."""
    yield
    if "accelerate" in sys.modules:
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def root() -> Path:
    """The project's root."""
    return ROOT


@pytest.fixture
def real_photos() -> Path:
    """Real product photos, kept outside of the project; the test is skipped where they are absent."""
    folder = ROOT.parent / "shared" / "photos"
    if not folder.is_dir():
        pytest.skip("no real product photos at ../shared/photos")
    return folder


@pytest.fixture
def only_copied() -> Any:
    """A mode for a UNet that streams: an operation on its weights where they are, but copying them, is an error.

    It is what a GPU would say of weights in the processor's memory.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    from lapel.base.stream import streamed

    class OnlyCopied(TorchDispatchMode):
        def __init__(self, unet: Any) -> None:
            super().__init__()
            self.copied = 0
            self.places = {weight.untyped_storage()._cdata for weight in streamed(unet)}
            assert self.places

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
            if any(tensor.untyped_storage()._cdata in self.places for tensor in given):
                assert func is torch.ops.aten._to_copy.default, f"{func} on a weight that is elsewhere"
                self.copied += 1
            return func(*args, **(kwargs or {}))

    return OnlyCopied


@pytest.fixture(scope="session")
def small_sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers folder with SDXL's build (three levels, two text encoders) and thin random layers."""
    import torch
    from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    from lapel.base.shapes import write_tokenizer

    folder = tmp_path_factory.mktemp("small-sdxl")
    write_tokenizer(folder / "words", 100)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "words")
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text |= {"vocab_size": 614, "bos_token_id": 612, "eos_token_id": 613, "pad_token_id": 613, "projection_dim": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=32,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(32, 64, 64),
            transformer_layers_per_block=(1, 1, 2),
            attention_head_dim=(1, 2, 2),
            cross_attention_dim=64,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=80,
        )
        vae = AutoencoderKL(
            block_out_channels=(32, 32),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=4,
            sample_size=64,
            scaling_factor=0.13025,
            force_upcast=True,
        )
        encoders = CLIPTextModel(CLIPTextConfig(**text)), CLIPTextModelWithProjection(CLIPTextConfig(**text))
    scheduler = DPMSolverMultistepScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    pipeline = StableDiffusionXLPipeline(vae, *encoders, tokenizer, tokenizer, unet, scheduler, add_watermarker=False)
    pipeline.save_pretrained(folder)
    return folder


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker, and the programs that it starts, cores of its own: threads that wait for others' are slow."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and hasattr(os, "sched_setaffinity"):
        cores, count = sorted(os.sched_getaffinity(0)), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        own = cores[int(worker.removeprefix("gw")) :: count]
        os.sched_setaffinity(0, own or cores)

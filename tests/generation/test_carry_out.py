"""One request after the other in one studio: the base is loaded once, and nothing of a request is left for the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lapel.fidelity.studio import open_studio
from lapel.generation import PictureSettings, WearSettings
from lapel.generation.carry_out import carry_out
from lapel.generation.control import ControlSettings
from lapel.generation.request import Request
from lapel.generation.studio import Studio

HOODIE = Path(__file__).resolve().parents[2] / "datasets/samples/sun-hoodie/01-front.jpg"
PICTURE = PictureSettings(prompt="a photo of a person wearing a hoodie", steps=1)


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Request]:
    """What a base can wear: nothing, layers of peft, an encoder with a map, and what is added to the weights."""
    folder = tmp_path_factory.mktemp("worn")
    stem, tensors = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q", torch.Generator()
    down, up = (torch.randn(shape, generator=tensors.manual_seed(1)) for shape in ((4, 64), (64, 4)))
    lora = {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up, f"{stem}.alpha": torch.tensor(4.0)}
    save_file(lora, folder / "lora.safetensors", {"ss_base_model_version": "sd_v1"})
    save_file({f"{stem}.diff": up @ down}, folder / "diff.safetensors", {"ss_base_model_version": "sd_v1"})
    posed = ControlSettings(controlnet=["tiny"], control=[Path("pose:standing@half")])

    def request(**wear: Any) -> Request:
        return Request(WearSettings(base="tiny", **wear), PICTURE)

    return {
        "nothing": request(),
        "lora": request(adapter=[folder / "lora.safetensors"]),
        "encoder": replace(request(encoder=Path("tiny"), garment_photo=[HOODIE]), control=posed),
        "diff": request(adapter=[folder / "diff.safetensors"]),
    }


def draw(request: Request, studio: Studio) -> bytes:
    (drawn,) = carry_out(request, studio).images
    assert isinstance(drawn.image, Image.Image)
    return drawn.image.tobytes()


def test_requests_leave_nothing_behind_on_a_base_that_is_loaded_once(
    requests: dict[str, Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lapel.base import load

    loaded, load_base = [], load.load_base
    monkeypatch.setattr(load, "load_base", lambda *given: loaded.append(given) or load_base(*given))
    alone = {name: draw(request, open_studio()) for name, request in requests.items()}
    assert len(set(alone.values())) == len(alone) == len(loaded)
    studio = open_studio()
    for name in ("lora", "lora", "nothing", "encoder", "lora", "encoder", "nothing"):
        assert draw(requests[name], studio) == alone[name], name
    assert len(loaded) == len(alone) + 1
    # What went into the weights does not come off: the base is read anew.
    for name in ("diff", "nothing"):
        assert draw(requests[name], studio) == alone[name], name
    assert len(loaded) == len(alone) + 2

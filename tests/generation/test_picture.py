"""How pictures are drawn, schedulers by their names, and the text that images carry."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lapel.errors import UserError
from lapel.generation import (
    SCHEDULERS,
    PictureSettings,
    Provenance,
    WornAdapter,
    parameters_text,
    save_image,
    scheduler_name,
)


def test_every_finding_is_reported_at_once() -> None:
    with pytest.raises(UserError) as caught:
        PictureSettings(prompt="x", steps=0, width=100, images=0, seeds=[-1], scheduler="Eulr")
    text = str(caught.value)
    assert len(caught.value.lines) == 5
    assert all(word in text for word in ("steps", "width", "images", "seed", "'Euler'"))


def test_prompt_editing_is_refused_rather_than_read_as_something_else() -> None:
    for prompt in ("a [cat:dog:0.5]", "[cat|dog]"):
        with pytest.raises(UserError, match="prompt editing"):
            PictureSettings(prompt="x", negative_prompt=prompt)
    assert PictureSettings(prompt=r"a [cat], \[cat|dog\]").prompt


def test_seeds_count_on() -> None:
    assert PictureSettings(seeds=[5], images=3).image_seeds() == [5, 6, 7]
    assert PictureSettings(seeds=[9, 2], images=4).image_seeds() == [9, 2, 3, 4]
    assert PictureSettings(seeds=[9, 2]).image_seeds() == [9, 2]
    with pytest.raises(UserError, match="3 seeds for 2 images"):
        PictureSettings(seeds=[1, 2, 3], images=2)


@pytest.mark.parametrize("spelling", ["DPM++ 2M Karras", "dpm++ 2m karras", "DPM++_2M_Karras", " dpm++-2m  karras "])
def test_scheduler_names_are_forgiving(spelling: str) -> None:
    assert scheduler_name(spelling) == "DPM++ 2M Karras"
    assert PictureSettings(scheduler=spelling).scheduler == "DPM++ 2M Karras"


def test_unknown_scheduler_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"nearest is 'DPM\+\+ 2M Karras'"):
        scheduler_name("DPM+ 2M Karas")


def test_every_scheduler_builds_and_keeps_the_prediction_type() -> None:
    from diffusers import DDIMScheduler

    from lapel.generation import scheduler_named

    base = DDIMScheduler(
        prediction_type="v_prediction", beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012
    )
    for name, named in SCHEDULERS.items():
        scheduler = scheduler_named(name, base)
        assert type(scheduler).__name__ == named.diffusers_class
        assert scheduler.config.prediction_type == "v_prediction"
        assert scheduler.config.beta_end == 0.012
        scheduler.set_timesteps(5)
        assert bool(scheduler.config.get("use_karras_sigmas")) == name.endswith("Karras")


def test_parameters_are_what_webui_writes() -> None:
    picture = PictureSettings(
        prompt="a photo of sks t-shirt", negative_prompt="blurry", steps=20, guidance=7.0, scheduler="euler a"
    )
    worn = (WornAdapter("tee", 0.8, "0123456789abcdef"), WornAdapter("hat", 1.0))
    provenance = Provenance("v1-5", "6ce0161689b3853a", worn)
    assert parameters_text(picture, 42, (512, 768), provenance) == (
        "a photo of sks t-shirt <lora:tee:0.8> <lora:hat:1>\n"
        "Negative prompt: blurry\n"
        "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 512x768, Model hash: 6ce0161689, Model: v1-5, "
        'Lora hashes: "tee: 0123456789ab", Version: lapel'
    )


def test_saved_image_carries_its_settings(tmp_path: Path) -> None:
    image = Image.new("RGB", (24, 16), (200, 30, 40))
    picture = PictureSettings(prompt="ein Foto, weiß: ☂", scheduler="DPM++ 2M Karras")
    save_image(tmp_path / "new" / "one.png", image, picture, seed=7)
    with Image.open(tmp_path / "new" / "one.png") as read:
        assert read.convert("RGB").tobytes() == image.tobytes()
        assert read.text["parameters"] == parameters_text(picture, 7, (24, 16))
        assert "Sampler: DPM++ 2M, Schedule type: Karras" in read.text["parameters"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["one.png"]

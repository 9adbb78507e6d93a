"""Every mistake that a user can make ends in one clear line and exit code 2, in whichever program it is made.

The programs run in this process, so that torch is imported once for all of them.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, T2IAdapter
from PIL import Image
from safetensors.torch import save_file

from lapel.photos.people.library import library_pose
from lapel.photos.people.pose import draw_pose, write_pose

ROOT = Path(__file__).resolve().parents[2]
HOODIE = ROOT / "datasets/samples/sun-hoodie/01-front.jpg"
WORN = ("--encoder", "tiny", "--garment_photo", HOODIE)
SAID = (*WORN, "--prompt", "a photo of a person wearing a hoodie", "--steps", 1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of everything that one can get wrong, and a person's photo with a pose."""
    folder = tmp_path_factory.mktemp("mistakes")
    noise = np.random.default_rng(0).integers(0, 256, (150, 120, 3), np.uint8)
    Image.fromarray(noise).save(folder / "person.png")
    Image.new("L", (50, 50), 255).save(folder / "small.png")
    for name, box in (("black", (0, 0, 0, 0)), ("mask", (50, 60, 70, 80)), ("corner", (0, 0, 20, 20))):
        mask = Image.new("L", (120, 150))
        mask.paste(255, box)
        mask.save(folder / f"{name}.png")
    write_pose(library_pose("standing", (120, 150)), folder / "pose.json")
    (folder / "text.json").write_text("a pose")
    (folder / "nobody.json").write_text('{"people": []}')
    (folder / "body25.json").write_text(json.dumps({"people": [{"pose_keypoints_2d": [1.0] * 75}]}))
    headless = library_pose("standing@legs", (120, 150))
    headless.points[[1, 2, 5]] = 0
    write_pose(headless, folder / "legs.json")
    two = Image.new("RGB", (240, 200))
    for place in (0, 120):
        two.paste(draw_pose(library_pose("standing", (120, 200))), (place, 0))
    two.save(folder / "two.png")
    (folder / "text.png").write_text("no picture")
    config = {"block_out_channels": (32,), "down_block_types": ("DownBlock2D",), "cross_attention_dim": 32}
    ControlNetModel(**config, norm_num_groups=8, attention_head_dim=8).save_pretrained(folder / "controlnet")
    T2IAdapter(3, [32, 64, 64, 64], 1, 4, "full_adapter_xl").save_pretrained(folder / "t2i")
    down, up = torch.zeros(4, 2048), torch.zeros(640, 4)
    stem = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    lora = {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up, f"{stem}.alpha": torch.tensor(4.0)}
    save_file(lora, folder / "sdxl.safetensors", {"ss_base_model_version": "sdxl_base_v1-0"})
    save_file({"emb_params": torch.zeros(1, 768)}, folder / "wide.safetensors")
    return folder


CONTROL = ("--controlnet", "tiny", "--control")
PERSON = ("--image", "{}/person.png")
TRY_ON = (*PERSON, *WORN, "--garment_words", "hoodie", "--steps", 1)
DRESS = (*WORN, "--garment_words", "hoodie", "--steps", 1)
MISTAKES = [
    # The request.
    ("generate", (*SAID, "--scheduler", "Eular"), "the nearest is 'Euler'"),
    ("generate", (*SAID, "--width", 100), "multiple of 8"),
    ("generate", (*SAID, "--negative_prompt", "[day:night:0.5]"), "prompt editing"),
    ("generate", (*SAID, "--scheduller", "Euler"), "the nearest is --scheduler"),
    ("generate", (*WORN, "--like", "{}/person.png"), "tells no settings"),
    # What is worn.
    ("generate", ("--adapter", "{}/sdxl.safetensors", "--base", "tiny", "--prompt", "x"), "choose another --base"),
    ("generate", ("--adapter", "{}/wide.safetensors", "--base", "tiny", "--prompt", "x"), "wide.safetensors"),
    ("generate", (*SAID, "--embedding", "{}/wide.safetensors"), "768 numbers wide"),
    ("generate", (*SAID, "--adapter", "{}/none.safetensors"), "none.safetensors"),
    ("generate", (*SAID, "--vae", "{}/none.safetensors"), "none.safetensors"),
    # Control.
    ("generate", (*SAID, "--controlnet", "{}/controlnet", "--control", "{}/mask.png"), "ControlNet of another family"),
    ("generate", (*SAID, "--controlnet", "{}/t2i", "--control", "{}/mask.png"), "T2I-Adapter of another family"),
    ("generate", (*SAID, "--controlnet", "{}/none", "--control", "{}/mask.png"), "no such file or folder"),
    ("generate", (*SAID, "--controlnet", "{}/sdxl.safetensors", "--control", "{}/mask.png"), "cannot be loaded"),
    ("generate", (*SAID, "--controlnet", "tiny"), "0 maps for 1 ControlNets"),
    ("generate", (*SAID, *CONTROL, "{}/none.png"), "no such map"),
    ("generate", (*SAID, *CONTROL, "{}/text.png"), "not a picture"),
    ("generate", (*SAID, *CONTROL, "cany:{}/person.png"), "did you mean canny:?"),
    ("generate", (*SAID, *CONTROL, "canny:{}/text.png"), "not a picture"),
    ("generate", (*SAID, *CONTROL, "depth:{}/person.png"), "--depth_model"),
    ("generate", (*SAID, *CONTROL, "seg:{}/person.png", "--segmentation_model", "{}/none"), "cannot be loaded"),
    ("generate", (*SAID, *CONTROL, "pose:{}/person.png"), "--pose_model"),
    ("generate", (*SAID, *CONTROL, "pose:stending"), "nearest is 'standing'"),
    ("generate", (*SAID, *CONTROL, "{}/body25.json"), "25 body keypoints"),
    ("generate", (*SAID, *CONTROL, "{}/pose.json", "--control_end", 2), "between 0 and 1"),
    # Words.
    ("generate", (*SAID, *CONTROL, "parsing:standing"), "give --shape"),
    ("generate", (*SAID, *CONTROL, "parsing:standing", "--shape", "xyzzy"), '"xyzzy" is not understood'),
    ("generate", (*SAID, *CONTROL, "parsing:{}/none.json", "--shape", "dress"), "no such map"),
    ("generate", (*SAID, "--shape", "dress"), "shown on a parsing map"),
    ("generate", (*SAID, "--region", "upper=a red shirt"), "--region_map"),
    ("generate", (*SAID, "--region", "uper=a red shirt"), "no such place"),
    ("generate", ("--base", "tiny", "--prompt", "x", "--encoder_region", "{}/mask.png"), "no encoder is worn"),
    ("generate", ("--base", "tiny", "--encoder", "tiny", "--prompt", "x"), "--garment_photo is missing"),
    ("dress", ("--base", "tiny", "--prompt", "a person", "--texture", "plaid"), "say the texture there"),
    ("dress", (*DRESS, "--catalogue", "{}/none", "--query", "a dress"), "no catalogue"),
    ("dress", (*DRESS, "--query", "a dress"), "give --catalogue"),
    # A person's photo.
    ("try_on", ("--image", "{}/none.png", *WORN, "--garment_words", "hoodie"), "no such photo"),
    ("try_on", ("--image", "{}/person.png", *WORN), "--garment_words"),
    ("try_on", (*TRY_ON, "--strength", 3), "strength is 3"),
    ("try_on", (*TRY_ON, "--pose", "{}/nobody.json"), "shows nobody"),
    ("try_on", (*TRY_ON, "--masked_content", "sketch"), "on the person's body: give --pose"),
    (
        "try_on",
        (*PERSON, "--base", "tiny", "--prompt", "a hoodie", "--pose", "{}/pose.json", "--masked_content", "sketch"),
        "lays a photo of the garment",
    ),
    (
        "try_on",
        (*PERSON, *WORN, "--garment_words", "hat", "--pose", "{}/pose.json", "--masked_content", "sketch"),
        "no place for a hat",
    ),
    (
        "try_on",
        ("--image", "{}/person.png", "--base", "tiny", "--prompt", "a hoodie", "--colour", "auto"),
        "--true_photo",
    ),
    ("try_on", (*TRY_ON, "--mask", "{}/small.png"), "save the mask at the photo's size"),
    ("try_on", (*TRY_ON, "--mask", "{}/black.png"), "black all over"),
    ("try_on", (*TRY_ON, "--mask", "{}/mask.png", "--mask_grow", -40), "the mask is empty"),
    ("try_on", (*TRY_ON, "--mask", "{}/none.png"), "no such mask"),
    ("try_on", (*TRY_ON, "--mask", "{}/mask.png", "--region", "upper=a hoodie"), "no parsing map tells"),
    ("try_on", (*TRY_ON, "--mask", "{}/mask.png", "--region", "{}/corner.png=a hoodie"), "outside of the mask"),
    ("try_on", (*TRY_ON, "--mask", "{}/mask.png", "--strength", 0.2), "leave none"),
    ("try_on", (*TRY_ON, "--pose", "{}/text.json"), "not JSON"),
    ("try_on", (*TRY_ON, "--pose", "{}/body25.json"), "25 body keypoints"),
    ("try_on", (*TRY_ON, "--pose", "{}/person.png"), "no skeleton in OpenPose's colours"),
    ("try_on", (*TRY_ON, "--pose", "{}/two.png"), "shows 2 people"),
    ("try_on", (*TRY_ON, "--pose", "pose:{}/person.png"), "--pose_model"),
    ("try_on", (*TRY_ON, "--pose", "pose:{}/person.png", "--pose_model", "dwpose"), "give rtmlib"),
    ("try_on", (*TRY_ON, "--pose", "{}/legs.json"), "no shoulders"),
    ("try_on", (*TRY_ON, "--parsing", "{}/small.png"), "one size"),
    ("try_on", (*TRY_ON, "--parsing", "{}/none.png"), "none.png"),
    # A person who is drawn.
    ("dress", ("--base", "tiny"), "--garment_words"),
    ("dress", (*DRESS, "--pose", "pose:standing"), "--pose_control"),
    ("dress", (*DRESS, "--keep", "{}/none.jpg"), "no such photo"),
    ("dress", (*DRESS, "--pose", "pose:{}/person.png", "--pose_control", "tiny"), "--pose_model"),
    ("dress", (*DRESS, "--pose", "{}/body25.json", "--pose_control", "tiny"), "25 body keypoints"),
    ("dress", (*DRESS, "--pose", "pose:star", "--pose_control", "{}/controlnet"), "another family"),
    ("dress", (*DRESS, "--keep", HOODIE, "--place", 5, 5, 0.3), "--place"),
]


@pytest.mark.parametrize(("program", "arguments", "said"), MISTAKES, ids=[f"{p}: {said}" for p, _, said in MISTAKES])
def test_a_mistake_ends_in_one_line(
    program: str,
    arguments: tuple[object, ...],
    said: str,
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [str(argument).replace("{}", str(files)) for argument in arguments]
    monkeypatch.setattr(sys, "argv", [program, *given, "--output_dir", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(ROOT / "inference" / f"{program}.py"), run_name="__main__")
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert left.value.code == 2
    assert len(told) == 1 and said in told[0], told
    assert not list(tmp_path.rglob("*.png"))

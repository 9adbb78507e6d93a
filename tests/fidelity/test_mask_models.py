"""Named mask models: loaded as anybody loads them, pointed to the garment, and refused in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lapel.errors import UserError
from lapel.fidelity.mask_models import Parser, Sam, load_mask_model
from lapel.photos import PhotoSettings, read_garment
from lapel.photos.masks import Mask, find_mask
from lapel.photos.models import Models
from lapel.photos.read import Picture
from lapel.wardrobe import photograph, sample_garment, sample_shot

CLOTHES = ("Background", "Hat", "Hair", "Upper-clothes", "Skirt", "Pants", "Dress", "Left-shoe", "Bag")
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 70, 3), dtype=np.uint8))
GUESS = Mask(Image.new("L", PHOTO.size, 255), "scene", 0.9)


@pytest.fixture(scope="module")
def parser_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SegFormer of a few random numbers with the labels of a clothes parser, saved as the hub has them."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor

    folder = tmp_path_factory.mktemp("parser")
    config = SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[8, 16],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[1, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=16,
        id2label=dict(enumerate(CLOTHES)),
        label2id={label: number for number, label in enumerate(CLOTHES)},
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        SegformerForSemanticSegmentation(config).save_pretrained(folder)
    SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Clothes\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def sam_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Segment Anything model of a few random numbers."""
    from transformers import SamConfig, SamImageProcessor, SamModel, SamProcessor

    folder = tmp_path_factory.mktemp("sam")
    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64, "patch_size": 8}
    vision |= {"output_channels": 16, "mlp_dim": 16, "window_size": 4, "global_attn_indexes": [0], "num_pos_feats": 8}
    decoder = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_dim": 16}
    decoder |= {"iou_head_hidden_dim": 16}
    prompts = {"hidden_size": 16, "image_size": 64, "patch_size": 8, "mask_input_channels": 4}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = SamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
        SamModel(config).save_pretrained(folder)
    processor = SamImageProcessor(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
    SamProcessor(processor).save_pretrained(folder)
    return folder


def test_a_parsers_labels_become_the_garments_mask(parser_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = load_mask_model(f"parser:{parser_folder}")
    assert isinstance(model, Parser)
    assert f"mask model parser:{parser_folder}: licence mit" in capsys.readouterr().err
    with torch.no_grad():  # whatever it sees, it calls it a dress
        model.model.decode_head.classifier.weight.zero_()
        model.model.decode_head.classifier.bias.zero_()
        model.model.decode_head.classifier.bias[CLOTHES.index("Dress")] = 5.0
    found = model.find(PHOTO, "dress", GUESS)
    assert found is not None
    mask, trust = found
    share = float(torch.tensor([5.0] + [0.0] * 8).softmax(0)[0])
    assert mask.size == PHOTO.size
    assert mask.getextrema() == (round(share * 255), round(share * 255))
    assert trust == pytest.approx(min(share, 0.95), abs=1e-4)
    assert model.find(PHOTO, "t-shirt", GUESS) is None
    assert model.find(PHOTO, "umbrella stand", GUESS) is None


@pytest.mark.parametrize(
    ("class_word", "labels"),
    [
        ("t-shirt", {"Upper-clothes"}),
        ("coat", {"Dress", "Upper-clothes"}),
        ("jeans", {"Pants"}),
        ("skirt", {"Skirt"}),
        ("boot", {"Left-shoe"}),
        ("cap", {"Hat"}),
        ("backpack", {"Bag"}),
    ],
)
def test_which_labels_a_garment_has(class_word: str, labels: set[str]) -> None:
    from lapel.fidelity.mask_models import _is_of

    assert {label for label in CLOTHES if _is_of(label.lower(), class_word)} == labels


def test_sam_is_pointed_to_the_garment(sam_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = load_mask_model(f"sam:{sam_folder}")
    assert isinstance(model, Sam)
    assert "licence not stated" in capsys.readouterr().err
    asked: list[tuple[object, object]] = []
    process = model.processor.__call__

    class Asked:
        image_processor = model.processor.image_processor

        def __call__(self, photo: Image.Image, **kwargs: object) -> object:
            asked.append((kwargs["input_boxes"], kwargs["input_points"]))
            return process(photo, **kwargs)

    model.processor = Asked()
    guess = Image.new("L", PHOTO.size)
    guess.paste(255, (10, 20, 51, 61))
    found = model.find(PHOTO, "t-shirt", Mask(guess, "scene", 0.5))
    assert found is not None
    assert found[0].size == PHOTO.size
    assert found[0].mode == "L"
    assert 0 <= found[1] <= 0.95
    assert asked == [([[[10.0, 20.0, 51.0, 61.0]]], [[[[30.0, 40.0]]]])] or asked == [
        ([[[10.0, 20.0, 51.0, 61.0]]], [[[30.0, 40.0]]])
    ]


class Drawn:
    """Finds a box, as a figure or as the garment."""

    name, fingerprint = "drawn:box", "1"

    def __init__(self, box: tuple[int, int, int, int], trust: float, finds_figure: bool = False) -> None:
        self.box, self.trust, self.finds_figure = box, trust, finds_figure

    def find(self, photo: Image.Image, class_word: str, guess: Mask) -> tuple[Image.Image, float]:
        mask = Image.new("L", photo.size)
        mask.paste(255, self.box)
        return mask, self.trust


def test_a_model_is_asked_after_files_and_before_lapels_own_means(tmp_path: Path) -> None:
    picture, model = Picture(PHOTO, None), Drawn((20, 20, 50, 70), 0.9)
    given = Image.new("L", PHOTO.size, 255)
    assert find_mask(picture, given, "t-shirt", "", model).source == "file"
    assert find_mask(Picture(PHOTO, given), None, "t-shirt", "", model).source == "alpha"
    mask = find_mask(picture, None, "t-shirt", "", model)
    assert (mask.source, mask.trust, mask.image.getbbox()) == ("drawn:box", 0.9, (20, 20, 50, 70))
    nothing = find_mask(picture, None, "t-shirt", "", Drawn((0, 0, 0, 0), 0.9))
    assert nothing.source == find_mask(picture, None, "t-shirt", "").source


def test_a_figure_of_a_model_is_told_apart_into_garment_and_wearer() -> None:
    garment = sample_garment(993, "held_out")
    worn = photograph(garment, sample_shot(9934, garment, "worn", "park"), 256)
    figure = Image.fromarray((worn.parsing > 0).astype(np.uint8) * 255)

    class Figure(Drawn):
        def find(self, photo: Image.Image, class_word: str, guess: Mask) -> tuple[Image.Image, float]:
            return figure, 0.95

    finder = Figure((0, 0, 1, 1), 0.95, finds_figure=True)
    mask = find_mask(Picture(Image.fromarray(worn.image), None), None, "dress", "worn", finder)
    assert mask.source == "drawn:box"
    assert mask.worn
    assert mask.figure is figure
    found, truth = np.asarray(mask.image) >= 128, worn.mask >= 128
    assert (found & truth).sum() / (found | truth).sum() > 0.85


def test_another_model_is_another_cache(tmp_path: Path) -> None:
    folder = tmp_path / "tee"
    folder.mkdir()
    PHOTO.save(folder / "a.png")
    one = read_garment(PhotoSettings(folder), 64, 8, tmp_path / "cache", Models(masks=Drawn((10, 10, 60, 80), 0.9)))
    assert one.photos["mask_source"][0] == "drawn:box"
    assert read_garment(PhotoSettings(folder), 64, 8, tmp_path / "cache").photos["mask_source"][0] != "drawn:box"


@pytest.mark.parametrize(
    "name",
    ["u2net", "magic:x", "parser:", "parser:lapel-tests/none", "sam:lapel-tests/none", "parser:."],
)
def test_a_model_that_is_not_at_hand_is_refused_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError) as error:
        load_mask_model(name)
    (line,) = error.value.lines
    assert line.startswith(f"--mask_model {name}: ")
    assert "\n" not in line


def test_rembg_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rembg", None)
    with pytest.raises(UserError, match=r"rembg is not installed; pip install \"lapel\[rembg\]\""):
        load_mask_model("rembg:u2net")


@pytest.fixture
def rembg_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where rembg looks for weights: two networks that answer by a picture's first channel."""
    pytest.importorskip("rembg")
    onnx = pytest.importorskip("onnx")
    for name, side, classes in (("u2netp", 320, 1), ("u2net_cloth_seg", 768, 4)):
        shape = (1, 3, side, side)
        given = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)
        made = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (1, classes, side, side))
        kernel = np.zeros((classes, 3, 1, 1), np.float32)
        kernel[min(1, classes - 1), 0] = 1.0  # bright red is the foreground, or an upper garment
        weight = onnx.numpy_helper.from_array(kernel, "w")
        node = onnx.helper.make_node("Conv", ["x", "w"], ["y"])
        graph = onnx.helper.make_graph([node], name, [given], [made], [weight])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(model, tmp_path / f"{name}.onnx")
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")
    return tmp_path


@pytest.mark.parametrize("name", ["u2netp", "u2net_cloth_seg"])
def test_rembgs_masks_are_its_own(name: str, rembg_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = Image.new("RGB", (100, 80), "black")
    photo.paste((255, 0, 0), (30, 20, 70, 60))
    model = load_mask_model(f"rembg:{name}")
    assert model is not None
    assert model.finds_figure == (name == "u2netp")
    assert "licence" in capsys.readouterr().err
    found = model.find(photo, "t-shirt", Mask(Image.new("L", photo.size, 255), "scene", 0.9))
    assert found is not None
    box = Image.fromarray((np.asarray(found[0]) >= 128).astype(np.uint8) * 255).getbbox()
    assert np.abs(np.subtract(box, (30, 20, 70, 60))).max() <= 2

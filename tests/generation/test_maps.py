"""Maps made of pictures: exact where shapes are known, by models of any numbers where not, and refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lapel.errors import UserError
from lapel.generation.control import ControlSettings
from lapel.generation.depth import depth_map, nearness, normal_map
from lapel.generation.edges import canny, soft_edges
from lapel.generation.maps import control_map, load_vision_model, source_of
from lapel.generation.segments import PALETTE

CPU = torch.device("cpu")
SIZE = (120, 90)


def boxed() -> Image.Image:
    picture = Image.new("RGB", SIZE, (200, 30, 40))
    picture.paste((20, 160, 60), (30, 20, 90, 70))
    return picture


def away_from_the_box() -> np.ndarray:
    """(h, w) pixels from the box's border."""
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    across = np.maximum(30 - 0.5 - columns, columns - 89.5)
    down = np.maximum(20 - 0.5 - rows, rows - 69.5)
    outside = np.hypot(np.maximum(across, 0), np.maximum(down, 0))
    return np.where((across < 0) & (down < 0), -np.maximum(across, down), outside)


def test_hard_edges_are_lines_at_the_border_and_nowhere_else() -> None:
    lines = np.asarray(canny(boxed(), 100, 200))
    assert set(np.unique(lines)) == {0, 255}
    drawn = lines[..., 0] > 0
    assert (lines == lines[..., :1]).all()
    assert away_from_the_box()[drawn].max() <= 1.5
    assert drawn.sum() == pytest.approx(2 * (60 + 50), abs=8)  # one pixel wide, all around
    assert not np.asarray(canny(boxed(), 2000, 3000)).any()


def test_soft_edges_fall_off_from_the_border() -> None:
    soft, away = np.asarray(soft_edges(boxed()))[..., 0], away_from_the_box()
    side = (away > 0) & (np.abs(np.mgrid[: SIZE[1], : SIZE[0]][0] - 45) < 10)  # far from the corners
    assert soft[(away < 1) & side].min() > 200
    assert not soft[away > 8].any()
    row = soft[45, 60:30:-1].astype(int)  # towards the border from within
    assert (np.diff(row) >= 0).all()
    assert not np.asarray(soft_edges(Image.new("RGB", SIZE, (9, 99, 199)))).any()
    noise = np.random.default_rng(0).normal(128, 1, (90, 120, 3)).round().astype(np.uint8)
    assert np.asarray(soft_edges(Image.fromarray(noise))).mean() < 100


@pytest.mark.parametrize("turn", range(4))
def test_soft_edges_do_not_know_up_from_down(turn: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    turned = np.asarray(soft_edges(Image.fromarray(np.rot90(pixels, turn).copy())), int)
    assert np.abs(turned - np.rot90(np.asarray(soft_edges(Image.fromarray(pixels)), int), turn)).max() <= 1


def test_a_slope_faces_where_it_faces() -> None:
    """Of a plane the normal is known: red is left, green up, blue the viewer (ControlNet 1.1)."""
    right = np.tile(np.linspace(0, 1, 101, dtype=np.float32), (101, 1))  # nearer towards the right: it faces left
    slope = 0.5 * 101 / 100
    facing = np.array([slope, 0, 1]) / np.hypot(slope, 1)
    expected = ((facing + 1) / 2 * 255).round()
    assert (np.asarray(normal_map(right)) == expected).all()
    assert (np.asarray(normal_map(right.T)) == expected[[1, 0, 2]]).all()  # nearer below: it faces up
    assert (np.asarray(normal_map(np.ones((9, 9), np.float32))) == (128, 128, 255)).all()


def test_a_ball_that_fills_the_picture_is_round() -> None:
    x, y = np.meshgrid(*[np.linspace(-1, 1, 201, dtype=np.float32)] * 2)
    inside = x**2 + y**2 < 0.8**2
    drawn = np.asarray(normal_map(np.sqrt(np.maximum(1 - x**2 - y**2, 0)))) / 255 * 2 - 1
    true = np.stack([-x, -y, np.sqrt(np.maximum(1 - x**2 - y**2, 0))], axis=2)  # red left, green up
    assert np.abs(drawn - true)[inside].max() < 0.02


@pytest.fixture(scope="module")
def depth_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GLPN of a few random numbers, saved as the hub has them. It tells how far things are, from 0 to 10."""
    from transformers import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor

    folder = tmp_path_factory.mktemp("depth")
    sizes = {"hidden_sizes": [8, 16], "patch_sizes": [7, 3], "strides": [4, 2], "num_attention_heads": [1, 2]}
    sizes |= {"depths": [1, 1], "sr_ratios": [2, 1], "mlp_ratios": [2, 2], "num_encoder_blocks": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        GLPNForDepthEstimation(GLPNConfig(**sizes, decoder_hidden_size=8)).save_pretrained(folder)
    GLPNImageProcessor(size_divisor=32).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def segmenter_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SegFormer of a few random numbers with ADE20K's number of classes."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor

    folder = tmp_path_factory.mktemp("segmenter")
    labels = {0: "wall", 2: "sky", 12: "person"} | {n: f"class {n}" for n in range(150) if n not in (0, 2, 12)}
    sizes = {"hidden_sizes": [8, 16], "patch_sizes": [7, 3], "strides": [4, 2], "num_attention_heads": [1, 2]}
    sizes |= {"depths": [1, 1], "sr_ratios": [2, 1], "mlp_ratios": [2, 2], "num_encoder_blocks": 2}
    numbers = {label: number for number, label in labels.items()}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = SegformerConfig(**sizes, decoder_hidden_size=16, id2label=labels, label2id=numbers)
        SegformerForSemanticSegmentation(config).save_pretrained(folder)
    SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    return folder


def test_depth_is_white_where_things_are_near(depth_folder: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    model = load_vision_model("depth-estimation", str(depth_folder), "--depth_model", CPU)
    far = np.asarray(model(Image.fromarray(noise))["predicted_depth"])
    near = nearness(Image.fromarray(noise), model)
    assert near.shape == (90, 120) and (near.min(), near.max()) == (0, 1)
    assert near.flat[far.argmin()] == 1 and near.flat[far.argmax()] == 0
    settings = ControlSettings(["x"], [Path(f"depth:{tmp_path / 'photo.png'}")], depth_model=str(depth_folder))
    drawn = control_map(settings.control[0], settings, SIZE, CPU)
    assert np.array_equal(np.asarray(drawn), np.asarray(depth_map(near)))
    normals = control_map(Path(f"normal:{tmp_path / 'photo.png'}"), settings, SIZE, CPU)
    assert np.array_equal(np.asarray(normals), np.asarray(normal_map(near)))


def test_classes_have_ade20ks_colours(
    segmenter_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = Image.fromarray(np.random.default_rng(2).integers(0, 255, (96, 64, 3), np.uint8))
    noise.save(tmp_path / "photo.png")
    source = Path(f"seg:{tmp_path / 'photo.png'}")
    settings = ControlSettings(["x"], [source], segmentation_model=str(segmenter_folder))
    drawn = np.asarray(control_map(source, settings, (64, 96), CPU))

    from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

    processor = AutoImageProcessor.from_pretrained(segmenter_folder)
    model = AutoModelForSemanticSegmentation.from_pretrained(segmenter_folder)
    with torch.no_grad():
        seen = model(**processor(images=noise, return_tensors="pt"))
    numbers = processor.post_process_semantic_segmentation(seen, target_sizes=[(96, 64)])[0].numpy()
    assert len(np.unique(numbers)) > 2
    assert np.array_equal(drawn, PALETTE[numbers])
    assert tuple(PALETTE[12]) == (150, 5, 61) and tuple(PALETTE[2]) == (6, 230, 230)  # a person; the sky
    assert "licence mit" in capsys.readouterr().err
    assert PALETTE.shape == (150, 3) and len(np.unique(PALETTE, axis=0)) == 149  # door and case share one


def test_a_ready_map_passes_through_unchanged(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (50, 70, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "map.png")
    settings = ControlSettings(["x"], [tmp_path / "map.png"])
    assert np.array_equal(np.asarray(control_map(settings.control[0], settings, SIZE, CPU)), noise)
    assert source_of(Path("C:/maps/canny.png")) == ("", Path("C:/maps/canny.png"))
    assert source_of(Path("canny:C:/a.png")) == ("canny", Path("C:/a.png"))


def test_a_picture_of_another_shape_is_cut_not_squeezed(tmp_path: Path) -> None:
    wide = Image.new("RGB", (400, 100), "white")
    wide.paste((0, 0, 0), (160, 10, 240, 90))  # a square in the middle
    wide.save(tmp_path / "wide.png")
    settings = ControlSettings(["x"], [Path(f"canny:{tmp_path / 'wide.png'}")])
    rows, columns, _ = np.nonzero(np.asarray(control_map(settings.control[0], settings, (100, 100), CPU)))
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=1) and np.ptp(rows) == pytest.approx(80, abs=2)


def test_mistakes_are_met_at_the_door(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    for source, said in (
        (f"canny:{tmp_path / 'none.png'}", "no such picture"),
        (f"cany:{tmp_path / 'a.png'}", "did you mean canny:?"),
        (f"depth:{tmp_path / 'a.png'}", "--depth_model, such as depth-anything"),
        (f"normal:{tmp_path / 'a.png'}", "--depth_model"),
        (f"seg:{tmp_path / 'a.png'}", "--segmentation_model"),
    ):
        with pytest.raises(UserError) as refused:
            ControlSettings(["x"], [Path(source)])
        assert said in str(refused.value) and len(refused.value.lines) == 1
    with pytest.raises(UserError, match="canny_thresholds"):
        ControlSettings(canny_thresholds=(200, 100))


def test_models_that_cannot_serve_are_refused(depth_folder: Path, segmenter_folder: Path, tmp_path: Path) -> None:
    boxed().save(tmp_path / "photo.png")
    source = Path(f"seg:{tmp_path / 'photo.png'}")
    for name, said in ((str(tmp_path / "none"), "cannot be loaded"), (str(depth_folder), "not for image-segmentation")):
        settings = ControlSettings(["x"], [source], segmentation_model=name)
        with pytest.raises(UserError, match=said) as refused:
            control_map(source, settings, SIZE, CPU)
        assert len(str(refused.value).splitlines()) == 1
    model = load_vision_model("image-segmentation", str(segmenter_folder), "--segmentation_model", CPU)
    model.model.config.id2label = {0: "background", 1: "shirt"}
    from lapel.generation.segments import segment

    with pytest.raises(UserError, match="2 classes that are not ADE20K"):
        segment(boxed(), model, "clothes")

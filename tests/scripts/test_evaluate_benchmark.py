"""The benchmark: its garments, methods, swaps and tables; that what was measured is not measured again."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from filelock import FileLock
from PIL import Image

from lapel.base.load import load_base
from lapel.base.settings import BaseSettings
from lapel.errors import UserError
from lapel.fidelity import ImageTower
from lapel.fidelity.likeness import difference_outside
from lapel.generation import PictureSettings
from lapel.photos import PhotoSettings
from lapel.photos.folder import list_garment
from lapel.wardrobe import KINDS, photograph, sample_garment, sample_shot, split_of
from lapel.wardrobe.vocabulary import PRINT_WORDS

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from evaluation import planned, trials
from evaluation.benchmark import (
    COLUMNS,
    BenchmarkSettings,
    cell,
    gain_lines,
    gains,
    in_order,
    measure_benchmark,
    table_lines,
    table_row,
)
from evaluation.cases import DrawnCase, PhotoCase
from evaluation.examiner import Examiner
from evaluation.methods import Method, method_named, registry
from evaluation.records import Records
from evaluation.results import interval
from evaluation.swap import paint, swap_figures, swaps_of, untouched_figures
from evaluation.trials import Training, sample_garments


def settings_of(tmp_path: Path, **settings: Any) -> BenchmarkSettings:
    small = {"garments": 1, "images": 1, "swaps": 1, "steps_drawn": 1, "gallery": 3, "text": False}
    folders = {name: tmp_path / name for name in ("output_dir", "trials_dir", "results_dir")}
    return BenchmarkSettings(**{**small, **folders, **settings})


def test_garments_are_held_out_of_all_kinds_and_the_first_are_the_same_for_every_count() -> None:
    garments = sample_garments(20, 40_000)
    assert sample_garments(7, 40_000) == garments[:7]
    assert all(split_of(garment.kind, garment.colours[0], garment.pattern) == "held_out" for garment in garments)
    lettered = [number for number, garment in enumerate(garments) if garment.print in PRINT_WORDS]
    assert lettered == [1, 6, 11, 16]
    kinds = Counter(garment.kind for garment in garments)
    assert set(kinds) == set(KINDS)
    assert max(kinds.values()) <= 4


def test_a_training_is_the_same_however_the_preset_is_spelt() -> None:
    preset = yaml.safe_load((trials.ROOT / "configs" / "tiny.yaml").read_text(encoding="utf-8"))
    plain = Training.of("lora")
    assert Training.of(f"lora:rank={preset['rank']},steps={preset['steps']},outside_weight=0.3") == plain
    assert plain.with_settings(f"steps={preset['steps']}") == plain.with_settings() == plain
    other = Training.of("lora:rank=3,blocks=unet text_encoder,cache_text=false")
    flags = ["--rank", "3", "--blocks", "unet", "text_encoder", "--cache_text", "false"]
    assert other.command == [*plain.command, *flags]
    assert other.with_settings("steps=7").command[-2:] == ["--steps", "7"]
    assert Training.of("lora:steps=9").with_settings("steps=7") == Training.of("lora:steps=9")
    assert len({training.name for training in (plain, other, other.with_settings("steps=7"))}) == 3
    assert Training("lora", ("base=/m/SD",)).name != Training("lora", ("base=/m/sd",)).name


def test_methods_that_nobody_knows_are_refused(tmp_path: Path) -> None:
    assert len(registry()) == 10
    assert method_named("lora") == method_named("lora-16") == registry()["lora-16"]
    assert method_named("lora:kind=rslora,rank=8").training == Training.of("lora:kind=rslora,rank=8")
    for text, said in (
        ("locom", "did you mean locon"),
        ("encoder:nowhere.safetensors", "no such file"),
        ("lora:rank", "rank is no setting"),
        ("lora:rnk=8", "nearest is --rank"),
        ("lora:rank=none", "--rank"),
        ("lora:blocks=unet text_encoder", "--cache_text false"),
    ):
        with pytest.raises(UserError, match=said):
            settings_of(tmp_path, methods=["base", text])
    with pytest.raises(UserError, match="--images is 0"):
        settings_of(tmp_path, images=0)


TOY = """
import dataclasses, pathlib, sys

@dataclasses.dataclass
class Toy:
    garment_dir: str
    rank: int = 2
    steps: int = 3

class Settings:
    def __init__(self, toy): self.toy = toy
    def flat(self): return dataclasses.asdict(self.toy)

CLASSES = (Toy,)
if __name__ == "__main__":
    run = pathlib.Path(sys.argv[sys.argv.index("--output_dir") + 1])
    run.mkdir(parents=True, exist_ok=True)
    with (run / "runs").open("a") as file: file.write("x")
    sys.exit(sys.argv[sys.argv.index("--rank") + 1] == "0")
"""
"""A trainer that writes down how often it ran, and fails at rank 0."""


def test_a_training_that_failed_names_its_log_and_one_that_ended_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trainers").mkdir()
    preset = tmp_path / "toy.yaml"
    preset.write_text("rank: 4\n", encoding="utf-8")
    (tmp_path / "trainers" / "toy.py").write_text(TOY, encoding="utf-8")
    for module in (trials, planned):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setitem(trials.PROGRAMS, "toy", trials.Program(str(preset), ()))
    (tmp_path / "shirt").mkdir()
    (tmp_path / "shirt" / "1.png").write_bytes(b"a photo")
    run = trials.train(Training.of("toy:rank=8"), tmp_path / "shirt", tmp_path / "trials")
    assert trials.train(Training.of("toy:rank=8"), tmp_path / "shirt", tmp_path / "trials") == run
    assert (run / "runs").read_text() == "x"
    (tmp_path / "shirt" / "1.png").write_bytes(b"another photo")
    assert trials.train(Training.of("toy:rank=8"), tmp_path / "shirt", tmp_path / "trials") == run
    assert (run / "runs").read_text() == "xx"
    preset.write_text("steps: 5\n", encoding="utf-8")
    trials.settled.cache_clear()
    trials.train(Training.of("toy:rank=8"), tmp_path / "shirt", tmp_path / "trials")
    assert (run / "runs").read_text() == "xxx"
    with pytest.raises(UserError, match=r"toy-rank=0\.log: the training of shirt failed"):
        trials.train(Training.of("toy:rank=0"), tmp_path / "shirt", tmp_path / "trials")


def test_a_setting_that_has_come_to_the_trainer_since_leaves_what_was_made_without_it() -> None:
    training = Training.of("lora:rank=4")
    known = training.settled
    assert known["rank"] == 4
    assert training.is_of(known)
    assert training.is_of({name: value for name, value in known.items() if name != "min_snr_gamma"})
    assert not training.is_of({name: value for name, value in known.items() if name != "rank"})
    assert not training.is_of({**known, "patience": 1})
    assert not training.is_of({**known, "of_old": 1})


def test_a_swap_is_the_same_person_and_painting_leaves_everything_else_as_it_was() -> None:
    garment = sample_garments(1, 40_000)[0]
    swaps = swaps_of(garment, 2)
    for swap in swaps:
        for other in (swap.truth, swap.again):
            assert difference_outside(other, swap.before, swap.mask) == 0
        assert np.abs(swap.truth.astype(int) - swap.before)[swap.inside].max() > 60
    truths = [[Image.fromarray(swap.truth)] for swap in swaps]
    perfect = swap_figures(swaps, truths)
    found = [perfect[f"swap_{name}"] for name in ("ssim", "colour", "outside")]
    assert found == pytest.approx([1, 0, 0], abs=1e-3)
    untouched = untouched_figures(swaps)
    assert untouched["before_ssim"] < 0.9
    assert untouched["before_colour"] > 5
    base = load_base(BaseSettings(base="tiny", precision="fp32"))
    picture = PictureSettings("a photo of a person wearing a dress, in a park", steps=2)
    painted = np.asarray(paint(base, base.pipeline(), swaps[0], picture, None)[0])
    assert difference_outside(painted, swaps[0].before, swaps[0].mask) == 0
    assert np.abs(painted.astype(int) - swaps[0].before)[swaps[0].inside].mean() > 5


def test_an_interval_is_of_means_over_garments() -> None:
    assert interval([2.0, 2.0, 2.0]) == (2.0, 2.0, 2.0)
    mean, low, high = interval([0.0, 1.0] * 50)
    assert mean == 0.5
    # 90 % of a binomial's share over 100: 1.645 times 0.05, in steps of 0.01.
    assert low == pytest.approx(0.5 - 0.082, abs=0.015)
    assert high == pytest.approx(0.5 + 0.082, abs=0.015)


def test_a_row_is_of_the_garments_that_have_a_figure() -> None:
    figures: list[dict[str, Any]] = [
        {"swap_outside": 0, "text": None, "score": 0.25},
        {"swap_outside": 3, "text": 0.5, "score": 0.75},
    ]
    row = table_row("LoRA", figures)
    assert row["text"] == {"value": 0.5, "low": 0.5, "high": 0.5, "garments": 1}
    assert row["score"]["value"] == 0.5
    assert row["score"]["garments"] == 2
    assert row["leak"]["value"] is None
    columns = {column.key: column for column in COLUMNS}
    assert cell(columns["swap_outside"], row["swap_outside"]) == "3"
    assert cell(columns["score"], row["score"]) == "0.500 \N{PLUS-MINUS SIGN} 0.250"
    assert cell(columns["scene"], {"value": 0.5, "low": 0.5, "high": 0.5, "garments": 1}) == "50 %"
    assert cell(columns["leak"], row["leak"]) == ""
    measured = {"garments": 2, "untouched": {"before_ssim": 0.4, "before_colour": 30.0}, "rows": [row], "gains": []}
    lines = list(table_lines(measured))
    assert len({line.count("|") for line in lines[:3]}) == 1
    assert "2 garments, 1 with a printed word" in lines[-1]


def test_scores_are_compared_garment_by_garment_where_all_have_one() -> None:
    def of(*scores: float | None) -> list[dict[str, Any]]:
        return [{"score": score} for score in scores]

    rows = {
        "base": ("the base", of(0.1, 0.5, 0.9)),
        "lora": ("LoRA", of(0.2, 0.6, 1.0)),
        "dora": ("DoRA", of(0.2, 0.5, 1.1)),
        "oracle": ("real photos", of(1.0, None, 1.0)),
    }
    found = gains(rows)
    assert [row["method"] for row in found] == ["the base", "LoRA", "DoRA"]
    assert found[0]["over"]["the base"] is None and found[1]["over"]["LoRA"] is None
    # However garments differ from one another, each gains as much.
    assert found[1]["over"]["the base"] == pytest.approx({"gain": 0.1, "low": 0.1, "high": 0.1})
    assert found[2]["over"]["LoRA"]["gain"] == pytest.approx(0)
    assert -0.1 <= found[2]["over"]["LoRA"]["low"] < 0 < found[2]["over"]["LoRA"]["high"] <= 0.1
    _, head, line, *body = gain_lines(found)
    assert head == "| score of B, garment by garment | against the base (90 %) | against LoRA (90 %) |"
    assert body[1] == "| LoRA | +0.100 (+0.100 to +0.100) |  |" and line.count("|") == head.count("|")
    assert list(gain_lines(gains({"lora": rows["lora"]}))) == list(gain_lines(gains({"dora": rows["dora"]}))) == []


def test_rows_come_in_the_order_of_the_registry_with_new_methods_before_the_real_photos() -> None:
    titles = [method.title for method in registry().values()]
    expected = [*titles[:-1], "lora:kind=rslora", titles[-1]]
    records: dict[str, Any] = {str(number): (title, []) for number, title in enumerate(reversed(expected))}
    assert [title for title, _ in in_order(records).values()] == expected


def test_what_is_known_is_read_back_unless_it_was_made_otherwise(tmp_path: Path) -> None:
    settings, (one, other) = settings_of(tmp_path), map(DrawnCase, sample_garments(2, 40_000))
    records, lora = Records(settings), method_named("lora")
    assert records.read(one, lora, whole=False) is None
    records.keep(one, lora, False, {"score": 1 / 3})
    assert records.read(one, lora, whole=False) == {"score": 0.33333}
    assert records.read(one, lora, whole=True) is None
    assert records.rows([one]) == {}
    records.keep(one, lora, True, {"score": 0.5})
    assert records.rows([one]) == {"lora": ("LoRA, rank 16", [{"score": 0.5}])}
    assert records.rows([one, other]) == {}
    assert Records(dataclasses.replace(settings, images=2)).read(one, lora, whole=False) is None
    (path,) = settings.results_dir.rglob("lora.json")
    (trained,) = settings.results_dir.rglob("trainings/*.json")
    trained.write_text(json.dumps({**json.loads(trained.read_text(encoding="utf-8")), "rank": 8}), encoding="utf-8")
    assert records.read(one, lora, whole=True) is None
    assert records.rows([one]) == {}
    path.write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="remove it"):
        records.read(one, lora, whole=True)


def test_real_photos_are_nearest_and_are_examined_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(tmp_path, methods=["oracle"])
    measure_benchmark(settings)
    first = capsys.readouterr()
    assert "about 0:00 h left" in first.err
    figures = json.loads((tmp_path / "output_dir" / "benchmark.json").read_text(encoding="utf-8"))["rows"][0]
    assert figures["score"]["value"] > 0.9
    assert figures["swap_ssim"]["value"] > 0.9
    assert figures["retrieval"]["value"] == 1
    assert figures["swap_outside"]["value"] == 0
    assert figures["drift"]["value"] is None
    (sheet,) = (tmp_path / "output_dir" / "sheets").iterdir()
    with Image.open(sheet) as picture:
        assert picture.width > 8 * 96
    monkeypatch.setattr(ImageTower, "__init__", lambda *_: pytest.fail("examined again"))
    measure_benchmark(settings)
    assert capsys.readouterr().out == first.out


def test_what_another_process_is_at_is_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, methods = settings_of(tmp_path, garments=2), [registry()[name] for name in ("base", "encoder")]
    taken, lock = [], tmp_path / "trials_dir" / "dress-40000" / "base.lock"

    def take(exam: Any, method: Method) -> tuple[dict[str, Any], None]:
        taken.append((exam, method.name))
        return {"score": 0.5}, None

    def end_the_other(_: float) -> None:
        Records(settings).keep(examiner.cases[0], methods[0], False, {"score": 0.75})
        other.release()

    monkeypatch.setattr(Examiner, "exam", lambda _, case: case.class_word)
    monkeypatch.setattr("evaluation.examiner.time.sleep", end_the_other)
    lock.parent.mkdir(parents=True)
    other = FileLock(lock)
    other.acquire()
    examiner = Examiner(settings, methods, whole=False, take=take)
    assert [len(done) for done in examiner.examined()] == [1, 2]
    assert taken == [("dress", "encoder"), ("t-shirt", "base"), ("t-shirt", "encoder")]
    assert examiner.figures(examiner.cases[0], methods[0]) == {"score": 0.75}


def test_two_methods_of_one_name_are_refused_rather_than_measured_in_turns_for_ever(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="base is the name of two"):
        Examiner(settings_of(tmp_path), [Method("base", "one"), Method("base", "other")], whole=True)


def test_a_missing_reader_is_told_before_anything_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    with pytest.raises(UserError, match="--text false"):
        Examiner(settings_of(tmp_path, garments=2, text=True), [], whole=True)
    assert Examiner(settings_of(tmp_path, garments=1, text=True), [], whole=True).cases
    assert Examiner(settings_of(tmp_path, garments=2), [], whole=True).cases


@pytest.mark.slow
def test_every_method_is_trained_worn_and_told_of(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "scripts/evaluate.py", "benchmark", "--garments", "1", "--steps", "2", "--images", "1"]
    command += ["--swaps", "1", "--steps_drawn", "1", "--gallery", "2", "--text", "false"]
    command += [f"--{name}={tmp_path / name}" for name in ("output_dir", "trials_dir", "results_dir")]
    new = ["--methods", "lora:kind=rslora,rank=8", "base"]
    for methods in ([], new):
        done = subprocess.run([*command, *methods], cwd=root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "output_dir" / "benchmark.json").read_text(encoding="utf-8"))["rows"]
    assert [row["method"] for row in rows[:-2]] == [method.title for method in registry().values()][:-1]
    assert [row["method"] for row in rows[-2:]] == ["lora:kind=rslora,rank=8", "real photos"]
    cost = {row["method"]: row["bytes"]["value"] for row in rows}
    assert cost["LoRA, rank 4"] < cost["LoRA, rank 16"] < cost["LoRA, rank 64"] < cost["DreamBooth"]
    assert all(row["swap_outside"]["value"] == 0 for row in rows)
    assert rows[0]["drift"]["value"] == 0


def test_shorter_trainings_are_other_methods() -> None:
    lora = registry()["lora-16"]
    shorter = lora.with_settings("steps=3")
    assert shorter.name != lora.name
    assert shorter.title == lora.title
    assert Method("base", "base").with_settings("steps=3") == Method("base", "base")


def photo_folder(folder: Path, seed: int) -> Path:
    """A garment folder as anybody has it: photos by any names, of which a feed tells the views, one with a caption."""
    folder.mkdir()
    garment, lines = sample_garment(seed, "held_out"), []
    for number, view in enumerate(("front", "worn", "front", "back", "worn")):
        name = f"IMG_{number}.png"
        Image.fromarray(photograph(garment, sample_shot(number, garment, view, "grey studio"), 192).image).save(
            folder / name
        )
        lines.append(json.dumps({"file_name": name, "view": view, "class_word": garment.kind, "colour": "moss"}))
    (folder / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "IMG_0.txt").write_text("a thing on a table", encoding="utf-8")
    return folder


def test_one_of_anybodys_photos_is_held_out_and_the_others_keep_what_is_known_of_them(tmp_path: Path) -> None:
    case = PhotoCase(photo_folder(tmp_path / "mine", 7), tmp_path / "cache")
    learned = case.photos(tmp_path / "photos")
    held, rows = case.spare, case.learned
    assert held["view"] in ("front", "worn")
    assert held["file"] not in [row["file"] for row in rows]
    assert len(rows) == 4
    listing = list_garment(PhotoSettings(garment_dir=learned))
    assert [photo.view for photo in listing.photos] == [row["view"] for row in rows]
    assert (listing.class_word, listing.colour) == (case.class_word, "moss")
    assert listing.photos[0].written == "a thing on a table"
    contents = {path.read_bytes() for path in learned.glob("*.png")}
    assert (tmp_path / "mine" / held["file"]).read_bytes() not in contents
    assert len(contents) == 4
    before = (learned / ".whole").stat().st_mtime_ns
    assert case.photos(tmp_path / "photos") == learned
    assert (learned / ".whole").stat().st_mtime_ns == before
    (tmp_path / "mine" / "IMG_0.txt").write_text("a thing on a chair", encoding="utf-8")
    again = PhotoCase(tmp_path / "mine", tmp_path / "cache")
    assert again.identity != case.identity
    again.photos(tmp_path / "photos")
    assert list_garment(PhotoSettings(garment_dir=learned)).photos[0].written == "a thing on a chair"
    (tmp_path / "mine" / "IMG_4.png").unlink()
    with pytest.raises(UserError, match=r"names IMG_4\.png"):
        PhotoCase(tmp_path / "mine", tmp_path / "cache")


def test_anybodys_photos_are_examined_without_what_only_the_wardrobe_knows(tmp_path: Path) -> None:
    folders = [photo_folder(tmp_path / f"garment-{seed}", seed) for seed in (7, 8)]
    measure_benchmark(settings_of(tmp_path, garment_dir=folders, methods=["base", "oracle"]))
    measured = json.loads((tmp_path / "output_dir" / "benchmark.json").read_text(encoding="utf-8"))
    base, real = measured["rows"]
    for column in ("score", "colour", "scene", "retrieval", "leak", "person"):
        assert base[column]["garments"] == 2, column
    for column in ("swap_ssim", "back_colour", "text"):
        assert base[column]["value"] is None, column
    assert real["colour"]["value"] < base["colour"]["value"]
    assert real["score"]["value"] is None
    sheets = list((tmp_path / "output_dir" / "sheets").iterdir())
    assert len(sheets) == 2


def test_photos_that_cannot_be_examined_are_told_at_once(tmp_path: Path) -> None:
    one = photo_folder(tmp_path / "one", 7)
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError) as told:
        Examiner(settings_of(tmp_path, garment_dir=[tmp_path / "other", one, one]), [], whole=True)
    assert len(told.value.lines) == 2
    with pytest.raises(UserError, match="give photos by --garment_dir"):
        settings_of(tmp_path, base="somebody/else")
    with pytest.raises(UserError, match="it knows drawings only"):
        settings_of(tmp_path, base="somebody/else", garment_dir=[one])
    with pytest.raises(UserError, match="one for tiny alone"):
        settings_of(tmp_path, base="some/one", tower="a/b", garment_dir=[one], methods=["encoder"])
    asked = {"garment_dir": [one], "preset": "sd15-8gb", "steps": 3, "tower": "some/tower"}
    settings = settings_of(tmp_path, base="somebody/else", **asked)
    assert "encoder" not in settings.methods
    training = settings.fitted(method_named("lora-4")).training
    assert training is not None
    assert training.text == "lora:rank=4,steps=3,config=sd15-8gb,base=somebody/else"
    on_tiny = settings_of(tmp_path, garment_dir=[one], preset="sd15-8gb").fitted(method_named("lora-4")).training
    assert on_tiny is not None and on_tiny.settled["base"] == "tiny"
    assert settings_of(tmp_path).fitted(method_named("lora-16")) == method_named("lora-16")

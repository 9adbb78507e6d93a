"""Settings come from defaults, a YAML file and the command line, in that order."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lapel.errors import UserError
from lapel.settings import read_settings, write_settings


@dataclass
class Cloth:
    """The cloth."""

    folder: Path
    """Where it lies."""

    mirrored: bool = False
    """Whether it is turned over."""

    seeds: tuple[int, ...] = (0, 1)
    """Numbers to draw from."""

    words: list[str] = field(default_factory=list)
    """What is printed on it."""


@dataclass
class Loom:
    """The loom."""

    rate: float = 1e-4
    """Threads a second."""

    steps: int | None = None
    """How often; None: until done."""

    precision: Literal["bf16", "fp16"] = "bf16"
    """How fine."""

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError(f"--rate {self.rate}: must be above 0")


def read(*argv: str) -> tuple[Cloth, Loom]:
    cloth, loom = read_settings("Weave.", Cloth, Loom, argv=argv)
    return cloth, loom


def refused(*argv: str) -> tuple[str, ...]:
    with pytest.raises(UserError) as error:
        read(*argv)
    assert not any("\n" in line for line in error.value.lines)
    return error.value.lines


def test_defaults_and_flags() -> None:
    cloth, loom = read("--folder", "here", "--mirrored", "--seeds", "3", "4", "--words", "a, b", "[c", "12")
    assert cloth == Cloth(Path("here"), mirrored=True, seeds=(3, 4), words=["a, b", "[c", "12"])
    assert loom == Loom()


def test_flag_forms() -> None:
    assert read("--folder=x", "--rate=1e-5", "--mirrored", "false", "--steps", "null") == (
        Cloth(Path("x")),
        Loom(rate=1e-5),
    )
    assert read("--folder", "12")[0].folder == Path("12")
    assert read("--folder", "x", "--steps", "5", "--steps", "6")[1].steps == 6


def test_command_line_wins_over_yaml(tmp_path: Path) -> None:
    preset = tmp_path / "p.yaml"
    preset.write_text("folder: there\nrate: 1e-3\nsteps: 7\nmirrored: true\n", encoding="utf-8")
    cloth, loom = read("--steps", "9", "--config", str(preset))
    assert (cloth.folder, cloth.mirrored, loom.rate, loom.steps) == (Path("there"), True, 1e-3, 9)


def test_preset_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "quick.yaml").write_text("folder: q\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert read("--config", "quick")[0].folder == Path("q")
    (line,) = (line for line in refused("--config", "quikc") if "quikc" in line)
    assert "no such file or preset" in line
    assert "quick" in line


@settings(deadline=None, max_examples=30)
@given(
    st.builds(
        Cloth,
        folder=st.from_regex(r"[a-zé][a-zé0-9 ]{0,8}[a-z]", fullmatch=True).map(Path),
        mirrored=st.booleans(),
        seeds=st.lists(st.integers(0, 2**40)).map(tuple),
        words=st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=9)),
    ),
    st.builds(
        Loom,
        rate=st.floats(1e-12, 1e6),
        steps=st.none() | st.integers(-5, 10**6),
        precision=st.sampled_from(["bf16", "fp16"]),
    ),
)
def test_written_settings_repeat_the_run(tmp_path_factory: pytest.TempPathFactory, cloth: Cloth, loom: Loom) -> None:
    path = tmp_path_factory.mktemp("run") / "settings.yaml"
    write_settings(path, cloth, loom)
    assert read("--config", str(path)) == (cloth, loom)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    preset = tmp_path / "p.yaml"
    preset.write_text("stepz: 5\nsteps: abc\nwords: [1]\n", encoding="utf-8")
    arguments = ("--config", str(preset), "--fodler", "x", "--mirrored", "maybe", "--precision", "fp8", "--rate", "-1")
    assert refused(*arguments) == (
        f"{preset}: stepz: no such setting; the nearest is steps",
        f"{preset}: steps: expected a whole number or null, not 'abc'",
        f"{preset}: words: expected a list of text, not [1]",
        "--fodler: no such setting; the nearest is --folder",
        "--mirrored: expected true or false, not 'maybe'",
        "--precision: expected one of bf16, fp16, not 'fp8'",
        "--folder is required",
    )


def test_what_a_preset_says_of_other_programs_is_passed_over(tmp_path: Path) -> None:
    preset = tmp_path / "p.yaml"
    preset.write_text("rate: 0.5\nmirrored: true\nratee: 1\n", encoding="utf-8")
    argv = ("--folder", "x", "--config", str(preset))
    with pytest.raises(UserError) as error:
        read_settings("Weave.", Cloth, argv=argv, beside=(Loom,))
    assert error.value.lines == (f"{preset}: ratee: no such setting; the nearest is seeds",)
    preset.write_text("rate: 0.5\nmirrored: true\n", encoding="utf-8")
    assert read_settings("Weave.", Cloth, argv=argv, beside=(Loom,)) == (Cloth(Path("x"), mirrored=True),)
    with pytest.raises(UserError, match="--rate: no such setting"):
        read_settings("Weave.", Cloth, argv=(*argv, "--rate", "1"), beside=(Loom,))


def test_checks_of_the_dataclass_are_told() -> None:
    assert refused("--rate", "-1") == ("--folder is required", "--rate -1.0: must be above 0")


def test_hyphens_point_to_underscores_and_strays_are_refused() -> None:
    assert "the nearest is --folder" in refused("--folder-", "x")[0]
    assert refused("stray", "--folder", "x")[0].startswith("unexpected 'stray'")
    assert refused("--folder", "x", "y") == ("--folder: expected a path, not 'x y'",)
    assert refused("--folder", "x", "--words") == ("--words: no value",)


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [", "\xff"])
def test_broken_yaml_is_one_line_naming_the_file(tmp_path: Path, content: str) -> None:
    preset = tmp_path / "p.yaml"
    preset.write_bytes(content.encode("latin-1"))
    assert refused("--folder", "x", "--config", str(preset))[0].startswith(str(preset))


def test_help_shows_groups_and_docstrings_without_heavy_imports(tmp_path: Path) -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    program = tmp_path / "program.py"
    program.write_text(
        "from __future__ import annotations\nimport atexit, sys\nfrom dataclasses import dataclass, field\n"
        "from pathlib import Path\nfrom typing import Literal\nfrom lapel.settings import read_settings\n"
        f"{source[source.index('@dataclass') : source.index('def read(')]}\n"
        "atexit.register(lambda: print('heavy', sorted({'torch', 'numpy', 'datasets', 'PIL'} & set(sys.modules))))\n"
        "read_settings('Weave.', Cloth, Loom)\n",
        encoding="utf-8",
    )
    told = subprocess.run([sys.executable, program, "--help"], capture_output=True, text=True, check=True).stdout
    for text in ("Weave.", "The cloth:", "The loom:", "--folder", "Threads a second.", "default: 0.0001", "--config"):
        assert text in told
    assert "heavy []" in told

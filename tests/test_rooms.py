"""The rooms of `lapel/` stand in a row: each imports only those to its left, and none imports a program."""

import ast
from pathlib import Path

import pytest

ROW = ["wardrobe", "photos", "base", "adapters", "generation", "fidelity", "training", "report"]
ROOT = Path(__file__).parents[1]
PROGRAMS = {"trainers", "inference", "scripts"}


def imported(file: Path) -> set[str]:
    """All modules that a file imports, anywhere in it."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("room", ROW)
def test_a_room_imports_only_rooms_to_its_left(room: str) -> None:
    files = list((ROOT / "lapel" / room).rglob("*.py"))
    assert files
    for file in files:
        for module in imported(file):
            parts = module.split(".")
            assert parts[0] not in PROGRAMS, f"{file}: {module}"
            if parts[0] == "lapel" and len(parts) > 1 and parts[1] in ROW:
                assert ROW.index(parts[1]) <= ROW.index(room), f"{file}: {module}"


@pytest.mark.parametrize("room", ["wardrobe", "photos"])
def test_the_first_rooms_know_nothing_of_models(room: str) -> None:
    for file in (ROOT / "lapel" / room).rglob("*.py"):
        assert not {module.split(".")[0] for module in imported(file)} & {"torch", "diffusers", "transformers", "peft"}

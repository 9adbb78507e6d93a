"""Settings: dataclasses that a YAML preset and the command line fill.

Every field of every dataclass is one flag, `--field_name`, and one key of the YAML file; the file is flat too. The
docstring under a field is its help text. Only jsonargparse is imported, so that `--help` answers at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import sys
import types
from collections.abc import Sequence
from dataclasses import MISSING, Field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

from lapel.errors import UserError
from lapel.files import written_whole

set_parsing_settings(docstring_parse_attribute_docstrings=True)

_CONFIG_FOLDERS = (Path("configs"), Path(__file__).resolve().parents[1] / "configs")
_CONFIG_HELP = "A YAML file of settings, or the name of a preset in configs/. The command line wins over it."


def read_settings(
    description: str, *classes: type, argv: Sequence[str] | None = None, beside: Sequence[type] = ()
) -> tuple[Any, ...]:
    """One instance of each dataclass in `classes`, from defaults, then `--config`, then the command line.

    `argv` is the command line without the program's name; None takes the process's own. A `bool` field takes no value
    or `true` or `false`; a list or tuple field takes several values. `--help` prints and exits. A preset is one of a
    whole training: a program that has only part of its settings names the other dataclasses in `beside`, and what a
    preset says of those is passed over.

    Raises `UserError` with every problem at once: unknown keys (with the nearest known one), values of the wrong type,
    missing values, and what the dataclasses' own `__post_init__` refuses by ValueError or UserError.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if "--help" in argv or "-h" in argv:
        _help_parser(description, classes).print_help()
        raise SystemExit(0)

    known = _known_fields(classes)
    problems: list[str] = []
    given = _split(argv, problems)
    values: dict[str, Any] = {}
    others = {field.name for kind in beside for field in dataclasses.fields(kind)} - known.keys()
    for name in (texts[-1] for flag, texts in given if flag == "config" and texts):
        for key, value in _read_yaml(name, problems).items():
            if key in others:
                continue
            _take(key, value, f"{name}: {key}", known, values, problems)
    for flag, texts in given:
        if flag != "config":
            _take(flag, texts, f"--{flag}", known, values, problems)
        elif len(texts) != 1:
            problems.append("--config takes one file or preset name")

    instances = [_build(kind, values, problems) for kind in classes]
    if problems:
        raise UserError(*dict.fromkeys(problems))
    return tuple(instances)


def write_settings(path: Path, *instances: Any) -> None:
    """Write dataclass instances as flat YAML that `--config` reads back to equal ones."""
    flat = {
        field.name: _plain(getattr(instance, field.name))
        for instance in instances
        for field in dataclasses.fields(instance)
        if field.init
    }
    with written_whole(path) as temporary:
        temporary.write_text(yaml.safe_dump(flat, sort_keys=False, allow_unicode=True), encoding="utf-8")


class _Refused:
    """Stands for a value that was given but not accepted, so that it is not also reported as missing."""


def _known_fields(classes: Sequence[type]) -> dict[str, tuple[Any, Field[Any]]]:
    """Field name -> (type, field), over all classes. One name is one setting: two classes may not share it."""
    known: dict[str, tuple[Any, Field[Any]]] = {}
    for kind in classes:
        hints = get_type_hints(kind)
        for field in dataclasses.fields(kind):
            if field.init:
                assert field.name not in known, f"two settings are named {field.name}"
                known[field.name] = (hints[field.name], field)
    return known


def _help_parser(description: str, classes: Sequence[type]) -> ArgumentParser:
    parser = ArgumentParser(description=description)
    parser.add_argument("--config", type=str, help=_CONFIG_HELP)
    for kind in classes:
        parser.add_class_arguments(kind)
    return parser


def _split(argv: Sequence[str], problems: list[str]) -> list[tuple[str, list[str]]]:
    """The command line as (flag, values): `--flag a b`, `--flag=a` and `--flag` alone."""
    given: list[tuple[str, list[str]]] = []
    for word in argv:
        if word.startswith("--"):
            flag, equals, value = word[2:].partition("=")
            given.append((flag, [value] if equals else []))
        elif given:
            given[-1][1].append(word)
        else:
            problems.append(f"unexpected {word!r}: every setting is a flag, as in --name {word}")
    return given


def _read_yaml(name: str, problems: list[str]) -> dict[str, Any]:
    path = Path(name)
    if not path.is_file():
        presets = [folder / f"{name.removesuffix('.yaml')}.yaml" for folder in _CONFIG_FOLDERS]
        found = next((preset for preset in presets if preset.is_file()), None)
        if found is None:
            names = sorted({file.stem for folder in _CONFIG_FOLDERS for file in folder.glob("*.yaml")})
            problems.append(f"--config {name}: no such file or preset; presets are: {', '.join(names) or 'none'}")
            return {}
        path = found
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problems.append(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}")
        return {}
    if content is None:
        return {}
    if not isinstance(content, dict):
        problems.append(f"{path}: expected lines of `name: value`")
        return {}
    return {str(key): value for key, value in content.items()}


def _take(
    name: str,
    value: Any,
    where: str,
    known: dict[str, tuple[Any, Field[Any]]],
    values: dict[str, Any],
    problems: list[str],
) -> None:
    """Check one given value and put it into `values`, or say in `problems` why not."""
    if name not in known:
        near = difflib.get_close_matches(name.replace("-", "_"), [*known, "config"], n=1, cutoff=0.0)
        prefix = "--" if where.startswith("--") else ""
        problems.append(f"{where}: no such setting; the nearest is {prefix}{near[0]}")
        return
    hint, _ = known[name]
    values[name] = _Refused
    try:
        if value == [] and where.startswith("--") and hint is not bool:
            raise ValueError("a value expected")
        values[name] = _parse(name, hint, value)
    except (ArgumentError, ValueError, TypeError):
        shown = " ".join(value) if isinstance(value, list) and where.startswith("--") else value
        problems.append(f"{where}: expected {_describe(hint)}, not {shown!r}" if value != [] else f"{where}: no value")


def _parse(name: str, hint: Any, value: Any) -> Any:
    """`value` as `hint`: a list of words from the command line, or whatever YAML held."""
    if _is_sequence(hint) and isinstance(value, list) and value != ["null"]:
        # Element by element, so that a word with a comma or a bracket stays one word.
        kinds = [kind for kind in get_args(_sequence_of(hint)) if kind is not Ellipsis]
        items = [_parse(name, kinds[0], [item] if isinstance(item, str) else item) for item in value]
        return tuple(items) if get_origin(_sequence_of(hint)) is tuple else items
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument(f"--{name}", type=hint)
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        if not value and hint is bool:
            value = ["true"]
        if len(value) != 1:
            raise ValueError("one value expected")
        if hint is str:
            return value[0]
        return parser.parse_args([f"--{name}={value[0]}"])[name]
    return parser.parse_object({name: value})[name]


def _sequence_of(hint: Any) -> Any:
    """The list or tuple type in `hint`, which may be optional; None where there is none."""
    choices = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return next((choice for choice in choices if get_origin(choice) in (list, tuple)), None)


def _is_sequence(hint: Any) -> bool:
    return _sequence_of(hint) is not None


def _describe(hint: Any) -> str:
    """`hint` in the user's words."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join("null" if kind is type(None) else _describe(kind) for kind in get_args(hint))
    if _is_sequence(hint):
        return f"a list of {_describe(get_args(hint)[0])}"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}
    return names.get(hint, str(hint))


def _build(kind: type, values: dict[str, Any], problems: list[str]) -> Any:
    """An instance of the dataclass `kind`, or None with the reasons in `problems`."""
    own = {field.name: field for field in dataclasses.fields(kind) if field.init}
    missing = [
        f"--{name} is required"
        for name, field in own.items()
        if name not in values and field.default is MISSING and field.default_factory is MISSING
    ]
    problems += missing
    given = {name: values[name] for name in own if name in values}
    if missing or _Refused in given.values():
        return None
    try:
        return kind(**given)
    except UserError as error:
        problems += error.lines
    except ValueError as error:
        problems.append(str(error))
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value

"""Where adapters lie, and what their headers tell at once. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

from lapel.adapters.kinds import PARTS, PEFT_FILE, layout_of
from lapel.base.embeddings import check_embeddings
from lapel.base.settings import BaseSettings
from lapel.base.weights import PICKLES, open_weights
from lapel.errors import UserError


def adapter_files(path: Path) -> list[Path]:
    """The file itself, or those of a folder that peft wrote.

    Raises:
        UserError: there are none.
    """
    if path.is_file():
        return [path]
    found = [file for part in ("", *PARTS) if (file := path / part / PEFT_FILE).is_file()]
    if not found:
        raise UserError(f"{path}: no such adapter; give a .safetensors file, or a folder that peft wrote")
    return found


def is_adapter(path: Path) -> bool:
    """Whether a file or folder holds an adapter, by its keys; a base is none.

    Raises:
        UserError: a file that is damaged.
    """
    if path.is_dir():
        return any((path / part / PEFT_FILE).is_file() for part in ("", *PARTS))
    return path.is_file() and layout_of(open_weights(path).shapes) is not None


def check_worn(settings: BaseSettings) -> None:
    """What can be said at once against the adapters and textual inversions of a base, from their headers alone.

    Raises:
        UserError: every file that is missing, damaged or no adapter, a line each.
    """
    findings: list[str] = []
    for path, _ in settings.worn:
        try:
            adapter_files(path)
            if path.suffix not in PICKLES and not is_adapter(path):  # to look into a pickle takes torch
                raise UserError(f"{path}: not an adapter (no layers of a LoRA or its kin, in any layout)")
        except UserError as error:
            findings += error.lines
    try:
        check_embeddings(settings.embedding)
    except UserError as error:
        findings += error.lines
    if findings:
        raise UserError(*findings)

"""Files appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from lapel.errors import UserError, run_program
from lapel.files import require_writable, sha256, written_whole


def test_file_appears_only_when_the_block_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "inner" / "card.json"
    with written_whole(target) as temporary:
        temporary.write_text("{}", encoding="utf-8")
        assert temporary.suffix == ".json"
        assert temporary.parent == target.parent
        assert not target.exists()
    assert target.read_text(encoding="utf-8") == "{}"
    assert [path.name for path in target.parent.iterdir()] == ["card.json"]


def test_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "adapter.safetensors"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), written_whole(target) as temporary:
        temporary.write_bytes(b"ne")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_file_may_be_read_by_others(tmp_path: Path) -> None:
    with written_whole(tmp_path / "a.txt") as temporary:
        temporary.touch(mode=0o600)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    content = os.urandom((1 << 20) + 17)
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    require_writable(tmp_path / "runs" / "tee")
    assert list((tmp_path / "runs" / "tee").iterdir()) == []


def test_file_in_the_way_of_a_folder_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("", encoding="utf-8")
    for folder in (tmp_path / "runs", tmp_path / "runs" / "tee"):
        with pytest.raises(UserError, match=r"runs.*a file is in the way"):
            require_writable(folder)


@pytest.mark.skipif(
    sys.platform == "win32" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="root may write anywhere"
)
def test_folder_without_write_permission_is_a_user_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(UserError, match="cannot write there"):
        require_writable(tmp_path / "runs")


def test_folder_that_the_system_refuses_is_a_user_error() -> None:
    # /proc takes no folders, not even from root; elsewhere a NUL-device path does the same service.
    if not Path("/proc/self").exists():
        pytest.skip("needs a file system that refuses even root")
    with pytest.raises(UserError, match="cannot write there"):
        require_writable(Path("/proc/self/runs"))


def test_user_errors_become_lines_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise UserError("a.jpg: broken", "b.jpg: empty")

    with pytest.raises(SystemExit) as stopped:
        run_program(main)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: a.jpg: broken\nerror: b.jpg: empty\n"


def test_interrupt_becomes_exit_code_130() -> None:
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stopped:
        run_program(main)
    assert stopped.value.code == 130


def test_faults_of_the_program_keep_their_traceback() -> None:
    def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_program(main)

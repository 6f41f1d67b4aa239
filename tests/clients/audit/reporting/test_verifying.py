"""`audit verify`: report, files beside it and code are those that were signed, or it says which are not."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.audit.capture.evidence import Place
from clients.audit.controls.catalogue import CONTROLS
from clients.audit.reporting.code import code, differences, whole
from clients.audit.reporting.publishing import publish
from clients.audit.reporting.report import Facts
from clients.audit.reporting.report_file import ReportError
from clients.audit.reporting.verifying import auditor_key, verify
from clients.cli.audit_verify import verify as command
from clients.cli.program import Settings
from clients.errors import ExitCode, UsageError
from tests.clients.audit.reports import AUDITOR, OTHER, control, facts
from wire.control_values import encode_base64url

KEY = encode_base64url(AUDITOR.key)
Run = Callable[..., tuple[int, str]]


def published(directory: Path, told: Facts | None = None) -> Path:
    file = directory / "audit.json"
    publish(told or facts(), AUDITOR, file, [], directory)
    return file


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of sources with one file in each package."""
    root = tmp_path / "tree"
    for package in ("wire", "keys", "relay", "clients"):
        (root / package).mkdir(parents=True)
        (root / package / "__init__.py").write_text(f"# {package}\n")
    return root


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str, as_json: bool = False) -> tuple[int, str]:
        try:
            command.main([*words], standalone_mode=False, obj=Settings(as_json=as_json))
            status = 0
        except SystemExit as error:
            status = int(error.code or 0)
        return status, capsys.readouterr().out

    return run


def test_a_report_that_holds(tmp_path: Path, run: Run) -> None:
    file = published(tmp_path)
    status, said = run(str(file))
    assert status == ExitCode.OK
    lines = said.splitlines()
    assert lines[0].startswith(f"signature  holds, by auditor {KEY} (compare it")
    assert lines[1] == "files      audit.html: as signed"
    assert lines[2].startswith("code       of 0.1.0, and not what is installed here: ")
    assert lines[-2:] == [
        "verdict    the audit was green",
        "audit: ok: 7 canaries, 71 encodings, 318.4 MB scanned, leaks 0, controls fired 2 of 2",
    ]
    (tmp_path / "audit.html").unlink()
    status, said = run(str(file), "--auditor", KEY)
    assert status == ExitCode.OK
    assert f"{KEY} (as you expected)\nfiles      audit.html: not here\n" in said


def test_a_red_audit_is_no_success(tmp_path: Path, run: Run) -> None:
    file = published(tmp_path, facts(leaks_total=2))
    status, said = run(str(file))
    assert status == ExitCode.AUDIT
    assert said.endswith("verdict    THE AUDIT WAS RED\naudit: RED: leaks: 2\n")
    status, said = run(str(file), as_json=True)
    found = json.loads(said)
    assert status == ExitCode.AUDIT
    assert (found["signature"], found["verdict"], found["reasons"]) == ("holds", "red", ["leaks: 2"])
    assert (found["auditor"], found["files"], found["files_absent"]) == (KEY, ["audit.html"], [])


def test_what_is_not_as_it_was_signed_is_refused(tmp_path: Path) -> None:
    file = published(tmp_path)
    with pytest.raises(ReportError, match=f"signed by another auditor, whose key is {KEY}"):
        verify(file, OTHER.key)
    page = tmp_path / "audit.html"
    page.write_bytes(page.read_bytes().replace(b"Green", b"green"))
    with pytest.raises(ReportError, match=r"audit\.html beside the report is not the one") as caught:
        verify(file)
    assert caught.value.exit_code is ExitCode.TRUST
    file.write_bytes(file.read_bytes().replace(b"plaintext-logged", b"plaintext-hidden"))
    with pytest.raises(ReportError, match="signature does not hold"):
        verify(file)
    with pytest.raises(UsageError, match="There is no report"):
        verify(tmp_path / "other.json")


def test_a_name_of_a_file_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "outside").write_bytes(b"x")
    for name in ("../outside", "/etc/hostname", "a/b", "a\\b", ""):
        with pytest.raises(ValueError, match="companions"):
            facts(companions={name: "0" * 64})


def test_the_source_that_is_given_has_to_be_the_code_under_test(tmp_path: Path, tree: Path) -> None:
    file = published(tmp_path, facts(code=code(tree)))
    assert verify(file, source=tree).differing == ()
    assert verify(file).differing  # what is installed is another program, which is told
    (tree / "relay" / "__init__.py").write_text("# another\n")
    (tree / "wire" / "more.py").touch()
    (tree / "keys" / "__init__.py").unlink()
    with pytest.raises(
        ReportError,
        match=r"keys/__init__.py is missing, relay/__init__.py is another, wire/more.py is not in the report",
    ):
        verify(file, source=tree)
    with pytest.raises(UsageError, match="There is no wire/"):
        verify(file, source=tmp_path)


def test_a_hash_of_the_code_that_is_not_that_of_its_files_is_refused(tmp_path: Path) -> None:
    told = facts()
    file = published(
        tmp_path, told.model_copy(update={"code": told.code.model_copy(update={"sha256": "0" * 64})})
    )
    with pytest.raises(ReportError, match="hash of the code"):
        verify(file)


def test_a_report_of_the_installed_code_has_its_red_controls(tmp_path: Path) -> None:
    """Another version may have others: of that, nothing is known here."""
    all_of_them = tuple(
        control(name=each.name, what=each.what, changes=each.changes, place=each.place) for each in CONTROLS
    )
    assert verify(published(tmp_path, facts(code=code(), controls=all_of_them))).differing == ()
    elsewhere = control(**{**dict(all_of_them[-1]), "place": Place.LOGS})
    for others in (all_of_them[1:], (*all_of_them, control()), (*all_of_them[:-1], elsewhere)):
        with pytest.raises(ReportError, match="red controls are not those"):
            verify(published(tmp_path, facts(code=code(), controls=others)))
        assert verify(published(tmp_path, facts(controls=others))).differing
    broken_off = facts(code=code(), controls=all_of_them[:3], failures=("the machine went down",))
    assert not verify(published(tmp_path, broken_off)).report.verdict.is_green


def test_the_hash_of_the_code_is_that_of_sha256sum(tree: Path) -> None:
    (tree / "relay" / "__pycache__").mkdir()
    (tree / "relay" / "__pycache__" / "x.pyc").touch()
    script = (
        "find wire keys relay clients -type f -not -path '*/__pycache__/*' | LC_ALL=C sort"
        " | xargs -d '\\n' sha256sum | sha256sum"
    )
    listed = subprocess.run(["sh", "-c", script], cwd=tree, check=True, capture_output=True, text=True)
    assert listed.stdout.split()[0] == code(tree).sha256 == whole(code(tree).files)
    assert whole(dict(reversed(code(tree).files.items()))) == code(tree).sha256


def test_the_installed_code_is_whole() -> None:
    found = code().files
    own = "clients/audit/reporting/page.css"
    assert {"relay/app.py", "wire/ledger.toml", "keys/auditors.py", own} <= found.keys()
    assert differences(found, None) == []


@pytest.mark.parametrize("text", ["", "abc", KEY[:-1], KEY + "A", KEY[:-1] + "=", "ü" * 43])
def test_a_key_that_is_none_is_told(text: str) -> None:
    assert auditor_key(KEY) == AUDITOR.key
    with pytest.raises(UsageError, match="auditor's key"):
        auditor_key(text)


def test_verifying_needs_nothing_of_the_extra(tmp_path: Path) -> None:
    """Whoever checks a report installs no search."""
    file = published(tmp_path)
    shutil.copy(file, tmp_path / "copy.json")
    script = (
        "import sys\nsys.modules['ahocorasick_rs'] = sys.modules['zstandard'] = None\n"
        "from pathlib import Path\nfrom clients.audit.reporting.verifying import verify\n"
        f"print(verify(Path({str(tmp_path / 'copy.json')!r})).report.verdict.is_green)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr

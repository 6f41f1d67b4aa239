"""What is published: a signed report with its page, without the auditor's paths, and never with a canary."""

import hashlib
from pathlib import Path

import pytest

from clients.audit.canaries.search import Canary
from clients.audit.capture.evidence import Place
from clients.audit.reporting.publishing import INSTALLED, LEFT_OUT, publish
from clients.audit.reporting.report import Captured, Leak
from clients.audit.reporting.report_file import decode
from clients.errors import AuditError, StorageError, UsageError
from tests.clients.audit.reports import AUDITOR, facts

CANARY = Canary("send.text #1", b"qwertzuiopasdfghjkyx2345", is_text=True)


def files(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_report_and_page_are_written_and_name_each_other(tmp_path: Path) -> None:
    transcript = tmp_path / "audit.transcript"
    transcript.write_bytes(b"what was said")
    made = publish(facts(), AUDITOR, tmp_path / "audit.json", [CANARY], tmp_path, [transcript])
    assert files(tmp_path) == {"audit.json", "audit.html", "audit.transcript"}
    found = decode((tmp_path / "audit.json").read_bytes())
    assert (found.report, found.auditor) == (made, AUDITOR.key)
    assert found.report.companions == {
        "audit.html": hashlib.sha256((tmp_path / "audit.html").read_bytes()).hexdigest(),
        "audit.transcript": hashlib.sha256(b"what was said").hexdigest(),
    }


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    kept, published = tmp_path / "kept", tmp_path / "published"
    kept.write_bytes(b"of somebody else")
    published.mkdir()
    for name in ("audit.json", "audit.json.new", "audit.html", "audit.html.new"):
        (published / name).symlink_to(kept)
    publish(facts(), AUDITOR, published / "audit.json", [], tmp_path)
    assert files(published) == {"audit.json", "audit.html"}
    assert kept.read_bytes() == b"of somebody else"
    decode((published / "audit.json").read_bytes())


def test_no_path_of_the_auditors_machine_is_published(tmp_path: Path) -> None:
    places = [
        f"memory: {INSTALLED}/relay/app.py",
        "memory: /usr/lib/x86_64-linux-gnu/libc.so.6 at 0x7f",
        f"files: {Path.home()}/my things/relay.db",
        f"files: {tmp_path}/relay-data/relay.db",
        "the relay did not start: '/etc/blindpost/secret name.toml' is none",
    ]
    looks = tuple(Captured(place=Place.MEMORY, source=place, bytes=1, unread=(place,)) for place in places)
    leak = Leak(canary="x", form="hex", place=Place.STORE, where=places[3], offset=0)
    told = facts(captured=looks, leaks=(leak,), failures=tuple(places))
    publish(told, AUDITOR, tmp_path / "audit.json", [], tmp_path)
    report = decode((tmp_path / "audit.json").read_bytes()).report
    assert [look.source for look in report.captured] == [
        "memory: CODE/relay/app.py",
        "memory: …/libc.so.6 at 0x7f",
        "files: HOME/my things/relay.db",
        "files: AUDIT/relay-data/relay.db",
        "the relay did not start: '…/secret name.toml' is none",
    ]
    assert report.leaks[0].where == "files: AUDIT/relay-data/relay.db"
    for name in ("audit.json", "audit.html"):
        written = (tmp_path / name).read_text("utf-8")
        for path in (INSTALLED, Path.home(), tmp_path, "/usr/lib", "/etc/blindpost"):
            assert f"{path}/" not in written, (name, path)


def test_paths_of_requests_are_left_alone(tmp_path: Path) -> None:
    told = facts(driven=("GET /v1/info and /metrics", "either/or"))
    assert publish(told, AUDITOR, tmp_path / "audit.json", [], tmp_path).driven == told.driven


@pytest.mark.parametrize("form", [CANARY.value.decode(), CANARY.value.hex(), CANARY.value.decode()[::-1]])
def test_a_text_that_shows_a_canary_is_left_out(tmp_path: Path, form: str) -> None:
    """As a leaky relay may say something in an example, in a header's name, in its last words."""
    entry = facts().learned[0].model_copy(update={"examples": (f"hello.name: {form}", "hello.mode: device")})
    told = facts(learned=(entry,), undeclared=(f"http: response-header.{form}",), failures=(form, "it ended"))
    made = publish(told, AUDITOR, tmp_path / "audit.json", [CANARY], tmp_path)
    assert made.learned[0].examples == (LEFT_OUT, "hello.mode: device")
    assert (made.undeclared, made.failures) == ((LEFT_OUT,), (LEFT_OUT, "it ended"))
    assert made.driven == told.driven
    assert not made.verdict.is_green
    for name in ("audit.json", "audit.html"):
        assert form.encode() not in (tmp_path / name).read_bytes()
    assert decode((tmp_path / "audit.json").read_bytes()).report == made


@pytest.mark.parametrize("value", [b"Audit of a blindpost relay", b'"leaks_total":0,"controls"'])
def test_a_report_that_would_show_a_canary_all_the_same_is_not_written(tmp_path: Path, value: bytes) -> None:
    shown = Canary("in every page, or in every report", value, is_text=True)
    with pytest.raises(AuditError, match="is not written"):
        publish(facts(), AUDITOR, tmp_path / "audit.json", [shown], tmp_path)
    assert files(tmp_path) == set()


def test_files_that_cannot_be_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="another name"):
        publish(facts(), AUDITOR, tmp_path / "audit.html", [], tmp_path)
    with pytest.raises(StorageError, match=r"There is no directory .*: make it first"):
        publish(facts(), AUDITOR, tmp_path / "nowhere" / "audit.json", [], tmp_path)
    with pytest.raises(StorageError, match=r"x\.log cannot be read"):
        publish(facts(), AUDITOR, tmp_path / "audit.json", [], tmp_path, [tmp_path / "x.log"])

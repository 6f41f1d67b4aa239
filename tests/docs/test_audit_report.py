"""docs/audit-report.md equals the program: its script checks reports, and it tells every field."""

import re
import subprocess
import sys
from pathlib import Path

from clients.audit.reporting.publishing import publish
from clients.audit.reporting.report import LEAKS_MAX, Report
from clients.audit.reporting.report_file import REPORT_MAX
from clients.audit.reporting.verdict import judged
from tests.clients.audit.reports import AUDITOR, facts
from wire.binary import label
from wire.control_values import encode_base64url

TEXT = (Path(__file__).parents[2] / "docs" / "audit-report.md").read_text("utf-8")


def test_a_stranger_can_check_a_report_by_the_script(tmp_path: Path) -> None:
    (script,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    (tmp_path / "check.py").write_text(script, "utf-8")
    for told, verdict in ((facts(), "green"), (facts(leaks_total=1, failures=("grün ist anders",)), "RED")):
        file = tmp_path / "audit.json"
        publish(told, AUDITOR, file, [], tmp_path)
        command = [sys.executable, "-P", "check.py", file.name]
        done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
        assert done.stdout == f"signed by {encode_base64url(AUDITOR.key)} {verdict}\n", done.stderr
        file.write_bytes(file.read_bytes().replace(b"2026-11-21", b"2026-11-22"))
        done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (1, "")
        assert "BadSignatureError" in done.stderr


def test_every_field_is_told() -> None:
    table = TEXT[TEXT.index("## What it says") : TEXT.index("## What makes it red")]
    told = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))
    assert sorted(told) == sorted(set(Report.model_fields) - {"format"})


def test_the_numbers_and_the_label_are_those_of_the_code() -> None:
    assert f"{LEAKS_MAX} are shown" in TEXT
    assert f"{REPORT_MAX // 2**20} MiB at most" in " ".join(TEXT.split())
    assert label("audit-report") == b"blindpost/v1/audit-report\0"
    assert b'{"format":1,"begun":"' in judged(facts()).model_dump_json().encode()
    assert judged(facts()).model_dump_json().endswith('"verdict":{"is_green":true,"reasons":[]}}')

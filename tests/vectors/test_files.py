"""The files as a whole: described, complete, and what scripts/make_vectors would write.

The other tests read the files and make nothing. This one shows that the script has not fallen behind: it
compares, and writes nothing either.
"""

import json
import re
import subprocess
import sys

from tests.vectors.reading import FAILURES, FOLDER, load

ROOT = FOLDER.parents[1]
ELSEWHERE = {"published", "mlkem768"}


def names() -> set[str]:
    return {path.stem for path in FOLDER.glob("*.json")}


def test_the_readme_describes_every_file() -> None:
    described = set(re.findall(r"^\| `(\w+)\.json` \|", (FOLDER / "README.md").read_text(), re.MULTILINE))
    assert described == names()


def test_every_entry_that_must_fail_says_how_and_why() -> None:
    classes = {*FAILURES, "disagreement"}
    found = set()
    for name in names():
        text = json.dumps(load(name))
        found |= set(re.findall(r'"failure": "([a-z]+)"', text))
        assert text.count('"failure"') <= text.count('"why"')
    assert found == classes
    table = re.findall(r"^\| \*([a-z]+)\* \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert set(table) == classes


def test_the_script_would_write_the_files_that_are_there() -> None:
    command = [sys.executable, "-m", "scripts.make_vectors", "--check"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "as written\n"), done.stdout + done.stderr
    made = (ROOT / "scripts" / "make_vectors" / "__main__.py").read_text()
    assert set(re.findall(r'^    "(\w+)": \w+,$', made, re.MULTILINE)) == names() - ELSEWHERE

"""The JSON schema of an audit's report, from the models that check it.

    python -m clients.audit.reporting.schema > docs/audit-report.schema.json

Owns the document's frame. A test holds the committed file to this.
"""

import json
import sys
from typing import Any, Final

from clients.audit.reporting.report import SignedReport

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema of the whole file."""
    return {"$schema": DIALECT, **SignedReport.model_json_schema(mode="serialization")}


def text() -> str:
    """As it stands in the file."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())

"""The HTTP side as an OpenAPI document, made from the routes that answer.

    python -m relay.openapi > docs/openapi.json

Owns how it is written. A test holds the committed file to this.
"""

import json
import sys

from relay.app import http_description


def render() -> str:
    """The document as text."""
    return json.dumps(http_description(), indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())

"""How an operator is told what is wrong: a setting that cannot be used, a file, a store.

Owns the sentences: which setting it is and what to do, never its value, which may be a secret; and the
exception that ends the program with one. Knows what
pydantic finds wrong, and says none of it in pydantic's words.
"""

import difflib
from collections.abc import Collection
from typing import Any, Final

from pydantic import ValidationError

# By what pydantic calls the mistake; what it knows of the limits fills the gaps.
_SENTENCES: Final = {
    "int": "must be a whole number",
    "float": "must be a number",
    "finite": "must be a number, and not an endless one",
    "string": "must be text",
    "tuple": "must be a list of texts",
    "path": "must be the path of a file or directory",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "string_too_short": "must have at least {min_length} characters",
}


class OperatorError(Exception):
    """The program cannot do what its operator asked for; the text is one sentence that says what to do."""


def reason(error: OSError) -> str:
    """What the system says is wrong with a file, as part of a sentence."""
    text = error.strerror or "it does not work"
    return text[0].lower() + text[1:]


def unknown(name: str, known: Collection[str]) -> str:
    """For a name that no setting has; the one that was probably meant is named."""
    close = difflib.get_close_matches(name, known, 1)
    meant = f"did you mean {close[0]}? " if close else ""
    return f"no setting is called {name}; {meant}--help lists them all"


def complaint(error: ValidationError, known: Collection[str]) -> str:
    """The first mistake of several."""
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    kind, context = first["type"], first.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown(name, known)
    if kind == "value_error":  # one of our own checks
        text = str(context["error"])
        return f"setting {name}: {text}" if name else text
    return f"setting {name}: {_reason(kind, context)}"


def _reason(kind: str, context: dict[str, Any]) -> str:
    # "int_parsing", "int_type" and "int_from_float" are one mistake to whoever made it.
    sentence = _SENTENCES.get(kind) or _SENTENCES.get(kind.partition("_")[0])
    return "cannot be used like this; see --help" if sentence is None else sentence.format_map(context)

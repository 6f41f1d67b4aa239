"""Errors as objects: how a failure in one process is raised again in another.

Owns the mapping between `ClientError` and {"code", "exit_code", "message"}.
"""

from typing import Any, Final

from clients.errors import ClientError, ExitCode, LockedError
from clients.model import Json


class LineLost(LockedError):
    """The process that owned the profile ended, or let this line go.

    `is_unheard`: what was asked has certainly not been carried out, and may be asked of the next owner.
    """

    def __init__(self, *, is_unheard: bool = False) -> None:
        super().__init__(
            "The blindpost process that owned this profile has ended, perhaps before this was done. Look, "
            "and run the command again if need be."
        )
        self.is_unheard = is_unheard


_CLASSES: Final[dict[int, type[ClientError]]] = {
    int(kind.exit_code): kind
    for kind in ClientError.__subclasses__()
    if kind.__module__ == ClientError.__module__
}


def failure_json(error: Exception) -> Json:
    """An error as an object. Of what is no ClientError, a bug of ours, only the kind is told."""
    if not isinstance(error, ClientError):
        message = f"Something failed that should not ({type(error).__name__}). This is a bug of blindpost."
        return {"code": ExitCode.INTERNAL.name, "exit_code": int(ExitCode.INTERNAL), "message": message}
    return {"code": error.exit_code.name, "exit_code": int(error.exit_code), "message": str(error)}


def failure(value: Any) -> ClientError:
    """The error that `failure_json` made an object of, for raising it again."""
    fields = value if isinstance(value, dict) else {}
    kind = _CLASSES.get(fields.get("exit_code", 0), ClientError)
    return kind(str(fields.get("message", "The blindpost process that owns this profile failed.")))

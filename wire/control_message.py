"""The base of all control messages, and of what stands in them.

Owns their strictness and how they are encoded. Knows no field.
"""

from pydantic import BaseModel, ConfigDict


class ControlMessage(BaseModel):
    """Base of all control messages: strict, closed and immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def encode(self) -> str:
        """Compact JSON; fields that are None are left out."""
        return self.model_dump_json(exclude_none=True)

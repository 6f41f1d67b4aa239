"""What is common to all values that hold secrets: they go into a store by their records, and nowhere else.

Owns the refusal. That their fields are hidden from `repr` each of them says itself.
"""

from typing import Never


class Secret:
    """A value that is neither pickled nor copied: a pickle holds all its bytes, and may end anywhere."""

    __slots__ = ()

    def __reduce__(self) -> Never:
        """Raises TypeError."""
        raise TypeError(f"{type(self).__name__} holds secrets, and is not pickled")

"""To whom `blindpost send` sends: a contact, or an address that becomes one.

Owns the first message in one command: without a profile, one is made at the relay that the address names.
"""

import sys
from typing import TYPE_CHECKING, Any, Final

from clients.cli.program import Settings, is_terminal
from clients.errors import NotFoundError, UsageError
from clients.parsing import parse_address

if TYPE_CHECKING:
    from clients.config import ClientConfig
    from clients.local.lasting import LastingLine

_LENGTHS: Final = (6, 12, 24)  # characters of an address in a name that nobody chose


class Recipient:
    """NAME of `blindpost send`."""

    def __init__(self, settings: Settings, name: str, new_name: str | None) -> None:
        """Raises UsageError for an address that is none, and for --as without one."""
        self._output = settings.output
        self._address = parse_address(name) if name.startswith("bp1") else None
        if self._address is None and new_name is not None:
            raise UsageError("--as gives a name to an address: blindpost send ADDRESS --as NAME TEXT")
        self._name = name
        self._new_name = new_name

    def make_profile(self, config: "ClientConfig") -> bool:
        """Make a profile at the address's relay if there is none at all; whether it did."""
        from clients import clock
        from clients.profile import Profile

        if self._address is None or (config.profile / "profile.json").exists():
            return False
        relay = self._address.relay
        if relay is None:
            raise NotFoundError(
                f"There is no profile in {config.profile}, and none can be made with this line: its end, "
                "from @ on, is missing. Copy the whole line, or: blindpost init --relay URL"
            )
        Profile.create(config, relay, clock.now_seconds()).close()
        self._output.note(f"You had no profile: made one at {relay}, in {config.profile}.")
        if is_terminal(sys.stderr):
            self._output.note("To be known by a name: blindpost settings --name YOURS")
        return True

    async def name_in(self, line: "LastingLine") -> str:
        """The contact's name; an address is added to the contacts first."""
        if self._address is None:
            return self._name
        try:
            known: dict[str, Any] = await line.call("contact", name=self._name)
        except NotFoundError:
            known = {}
        if known and known["status"] != "request":
            return str(known["name"])
        try:
            added = await self._add(line)
        except UsageError:
            try:  # perhaps another command has added it just now
                known = await line.call("contact", name=self._name)
            except NotFoundError:
                known = {}
            if not known or known["status"] != "approved":
                raise
            return str(known["name"])
        self._output.note(f"{added} is a contact now. Another name: blindpost contact rename {added} NAME")
        return added

    async def _add(self, line: "LastingLine") -> str:
        assert self._address is not None
        data = self._address.bare.text[len("bp1q") :]
        names = [self._new_name] if self._new_name else [f"friend-{data[:length]}" for length in _LENGTHS]
        for name in names[:-1]:
            try:
                await line.call("contact", name=name)
            except NotFoundError:
                names = [name]
                break
        await line.call("add", name=names[-1], address=self._name)
        return names[-1]

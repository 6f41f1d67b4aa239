"""What the commands of a chat do.

Owns their answers, which stand in the pane. Knows no terminal: what only a screen can do is left to it.
"""

from typing import Any, Final

from clients.chat.commands import Command, Verb, help_lines
from clients.chat.conversation import Entry, Json
from clients.chat.layout import YOU
from clients.chat.marks import Signs
from clients.chat.talk import Talk
from clients.cli.output import typed

FOUND_MAX: Final = 20
LISTED_MAX: Final = 50


class Actions:
    """Carries out commands on a talk."""

    def __init__(self, talk: Talk, signs: Signs) -> None:
        self._talk = talk
        self._signs = signs

    def _note(self, *lines: str, is_trouble: bool = False) -> None:
        self._talk.conversation.note(*lines, is_trouble=is_trouble)

    def perform(self, command: Command) -> None:
        """Carry out any command but those that send, answer or leave. Raises Busy."""
        match command.verb:
            case Verb.HELP:
                self._note(*help_lines(), "", *self._signs.legend())
            case Verb.CONTACTS:
                self._list()
            case Verb.SWITCH:
                self._talk.switch(command.text)
            case Verb.ACCEPT:
                self._accept(command.text)
            case Verb.BLOCK:
                self._block(command.text)
            case Verb.VERIFY:
                self._verify(command.text)
            case Verb.SEARCH:
                self._search(command.text)
            case Verb.HISTORY:
                self._talk.load_last(command.number or 1)
            case _:
                raise AssertionError(command.verb)

    # --- people ---------------------------------------------------------------------------------------

    def _list(self) -> None:
        here = [self._talk.person] if self._talk.person else []
        lines = [_listed(person) for person in [*here, *self._talk.others.values()]]
        more = [f"and {len(lines) - LISTED_MAX} more: blindpost contact list"] if lines[LISTED_MAX:] else []
        self._note(*(lines[:LISTED_MAX] or ["No contacts yet."]), *more)

    def _accept(self, name: str) -> None:
        if not self._talk.is_request:
            self._note(f"{self._talk.name} is no request.", is_trouble=True)
            return
        chosen = {"as": name} if name else {}
        self._talk.ask("accept", self._accepted, name=self._talk.name, **chosen)

    def _accepted(self, contact: Json) -> None:
        self._talk.renamed(contact)
        self._note(f"{contact['name']} is a contact now. What you write is sent.")

    def _block(self, name: str) -> None:
        own = self._talk.name
        if name not in ("", own):
            self._note(f"This is the conversation with {own}: /switch {name} first.", is_trouble=True)
        elif not name and not self._talk.is_request:
            self._note(f"Whatever {own} sends would be dropped unread. To do so: /block {own}")
        else:
            self._talk.ask("block", self._blocked, name=own)

    def _blocked(self, contact: Json) -> None:
        self._talk.renamed(contact)
        name = str(contact["name"])
        self._note(f"{name} is blocked. To undo it: blindpost contact unblock {typed(name)}")

    def _verify(self, text: str) -> None:
        name = self._talk.name
        if text:
            self._talk.ask("verify", self._verified, name=name, text=text)
        else:
            self._talk.ask("safety_number", self._show_number, name=name)

    def _verified(self, contact: Json) -> None:
        self._talk.renamed(contact)
        self._note(f"Equal: {contact['name']} is verified. Nobody is between you.")

    def _show_number(self, result: Json) -> None:
        digits = "".join(c for c in str(result["safety_number"]) if c.isdigit())
        groups = [digits[start : start + 5] for start in range(0, len(digits), 5)]
        name = self._talk.name
        state = "It has been compared." if result.get("verified") else "It has not been compared yet."
        self._note(
            f"The safety number with {name}. {state}",
            *("    " + " ".join(groups[start : start + 4]) for start in range(0, len(groups), 4)),
            f"Have {name} read theirs to you, by telephone or in person: equal digits mean that nobody is "
            "between you. Then type: /verify and their digits.",
        )

    # --- messages -------------------------------------------------------------------------------------

    def _search(self, words: str) -> None:
        def found(messages: list[Json]) -> None:
            entries = [Entry.parse(message) for message in messages]
            if not entries:
                self._note(f"Nothing found: {words}")
                return
            self._note(f"Found: {words}", *(self._found(entry) for entry in entries))

        self._talk.ask("history", found, name=self._talk.name, search=words, limit=FOUND_MAX)

    def _found(self, entry: Entry) -> str:
        who = YOU if entry.outgoing else self._talk.name
        when = entry.sent.astimezone().strftime("%Y-%m-%d %H:%M")
        return f"    {when}  {who}  {_first_line(entry.text)}"

    def number(self) -> None:
        """Say which number each of the latest incoming messages has."""
        entries = self._talk.conversation.numbered()
        if not entries:
            self._note(f"{self._talk.name} has written nothing yet.")
            return
        numbered = list(enumerate(entries, 1))
        self._note(
            "Answer one of these with /reply N, or /reply N TEXT:",
            *(
                f"    {number}  {entry.sent.astimezone():%H:%M}  {_first_line(entry.text)}"
                for number, entry in reversed(numbered)
            ),
        )

    def numbered(self, number: int) -> Entry | None:
        """The incoming message with this number; says so if there is none."""
        entries = self._talk.conversation.numbered()
        if number > len(entries):
            self._note(f"There is no message {number} to answer. /reply lists them.", is_trouble=True)
            return None
        return entries[number - 1]


def _first_line(text: str) -> str:
    line, _, rest = text.strip().partition("\n")
    return line[:70] + (" ..." if rest or line[70:] else "")


def _listed(person: Json) -> str:
    parts = [str(person["name"])]
    status = str(person.get("status", ""))
    if status != "approved":
        parts.append(status)
    if person.get("verified"):
        parts.append("verified")
    if person.get("online"):
        parts.append("online")
    unread: Any = person.get("unread", 0)
    if unread:
        parts.append(f"{unread} new")
    if person.get("alarm"):
        parts.append("ALARM")
    return "    ".join((parts[0], ", ".join(parts[1:]))).rstrip()

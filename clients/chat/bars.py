"""The lines around the conversation: who it is, what is wrong, what is going on.

Owns their words and what gives way when there is little room. Pure.
"""

from clients.chat.conversation import Entry
from clients.chat.layout import YOU, Row, row_columns
from clients.chat.marks import Signs
from clients.chat.talk import Talk
from clients.chat.wrap import columns, one_line, shown, wrap
from clients.cli.output import typed

Bar = tuple[str, str]  # style, sentence


def title(talk: Talk, signs: Signs, width: int) -> Row:
    """Name, verified or not, presence; at the right the state of the connection."""
    state_style, state = _connection(talk)
    details: list[tuple[str, str]] = []
    if talk.is_approved and talk.person is not None:
        verified = bool(talk.person.get("verified"))
        tick = "✓ " if signs.is_unicode else ""
        details.append(
            ("class:title.good", f"{tick}verified") if verified else ("class:title", "not verified")
        )
        details += _presence(talk)
    elif talk.person is not None:
        details.append(("class:title.bad", str(talk.person.get("status", ""))))
    room = width - 2
    name = one_line(talk.name, max(1, room))
    row: Row = [("class:title", " " if width >= 3 else ""), ("class:title.name", name)]
    for style, words in details:
        if row_columns(row) + 3 + len(words) <= width - 1:
            row += [
                ("class:title", "  " if len(row) == 2 else " · " if signs.is_unicode else " - "),
                (style, words),
            ]
    used = row_columns(row)
    gap = width - used - len(state) - 1
    if gap >= 2:
        row += [("class:title", " " * gap), (state_style, state), ("class:title", " ")]
    else:
        row.append(("class:title", " " * max(0, width - used)))
    return row


def _presence(talk: Talk) -> list[tuple[str, str]]:
    online = None if talk.person is None or not talk.connected else talk.person.get("online")
    if online is None:
        return []
    return [("class:title.good", "online")] if online else [("class:title", "away")]


def _connection(talk: Talk) -> tuple[str, str]:
    if talk.connected:
        return "class:title", "connected"
    if talk.was_connected or talk.problems:
        return "class:title.bad", "offline: what you write is kept"
    return "class:title", "connecting ..."


def alarms(talk: Talk) -> list[Bar]:
    """What must not be overlooked, the worst first."""
    bars: list[Bar] = []
    if talk.alarm:
        said = talk.alarm.rstrip(".")
        bars.append(
            (
                "class:alarm",
                f"ALARM: {said}. Nothing is sent to {talk.name}: ask in person what has happened.",
            )
        )
    for problem in talk.problems:
        is_alarm = problem.startswith("ALARM")
        if not (is_alarm and talk.alarm and talk.alarm.rstrip(".") in problem):
            bars.append(("class:alarm" if is_alarm else "class:problem", problem))
    if talk.is_request and talk.person is not None:
        called = str(talk.person.get("display_name") or "")
        calls = f'It calls itself "{called}", which anybody can' if called else "It gives no name"
        bars.append(
            (
                "class:request",
                f"REQUEST: /accept NAME, or /block. It learns nothing. {calls}.",
            )
        )
    elif talk.person is not None and talk.person.get("status") == "blocked":
        bars.append(
            ("class:problem", f"{talk.name} is blocked: blindpost contact unblock {typed(talk.name)}")
        )
    elif talk.person is None and talk.is_loaded:
        bars.append(
            ("class:problem", f"{talk.name} is not among your contacts. /contacts, then /switch NAME")
        )
    return bars


def bar_rows(bars: list[Bar], width: int, most: int) -> list[Row]:
    """The bars in at most `most` rows, each as wide as the screen."""
    rows: list[Row] = []
    for style, sentence in bars:
        text = shown(sentence).replace("\n", " ")
        for piece in wrap(text, max(1, width - 2)):
            if width < 3:
                rows.append([(style, piece.text)])
            else:
                rows.append([(style, f" {piece.text}{' ' * max(0, width - 1 - piece.width)}")])
    if len(rows) > most > 0 and width > 5:
        first = bars[0]
        cut = one_line(first[1].replace("\n", " "), width - 2)
        if most == 1:
            return [[(first[0], f" {cut}{' ' * (width - 1 - columns(cut))}")]]
    return rows[: max(0, most)]


def rule(talk: Talk, signs: Signs, width: int, below: int) -> Row:
    """The line above the input: what goes on here; at the right who else has written."""
    left = _going_on(talk, below)
    right = _elsewhere(talk)
    words = one_line(left[1], max(0, width - 4)) if left[1] else ""
    row: Row = [("class:rule", signs.rule * min(2, width))]
    if words and width >= 8:
        row += [("class:rule", " "), (left[0], words), ("class:rule", " ")]
    gap = width - row_columns(row)
    if right and gap >= columns(right) + 6:
        gap -= columns(right) + 4
        row += [
            ("class:rule", signs.rule * gap),
            ("class:elsewhere", f" {right} "),
            ("class:rule", signs.rule * 2),
        ]
    else:
        row.append(("class:rule", signs.rule * max(0, gap)))
    return row


def _going_on(talk: Talk, below: int) -> tuple[str, str]:
    if below:
        return "class:below", f"{below} new below: Ctrl-End"
    if talk.notice:
        return "class:notice", talk.notice
    if talk.is_approved and talk.person is not None and talk.person.get("typing"):
        return "class:typing", f"{talk.name} is typing ..."
    if talk.held:
        return "class:notice", "a message waits for an earlier one, up to 30 s" if talk.held == 1 else (
            f"{talk.held} messages wait for earlier ones, up to 30 s"
        )
    own = next((entry for entry in reversed(talk.conversation.entries) if entry.outgoing), None)
    if own is not None and own.status == "requested":
        return "class:notice", f"{talk.name} has not accepted you yet: the relay keeps it as a request"
    return "", ""


def _elsewhere(talk: Talk) -> str:
    unread: dict[str, int] = {}
    requests = 0
    for name, person in talk.others.items():
        if person.get("status") == "request":
            requests += 1
        elif person.get("status") == "approved" and isinstance(count := person.get("unread"), int) and count:
            unread[name] = count
    if len(unread) == 1:
        ((name, count),) = unread.items()
        words = [f"{one_line(name, 20)}: {count} new"]
    else:
        words = [f"{len(unread)} others have written"] if unread else []
    if requests:
        words.append("1 request" if requests == 1 else f"{requests} requests")
    return ", ".join(words)


def answering(entry: Entry, talk: Talk, signs: Signs, width: int) -> Row:
    """The line above the input that says which message is being answered."""
    who = YOU if entry.outgoing else one_line(talk.name, 14)
    head = f"{signs.quote}answering {who}: "
    room = width - row_columns([("", head)])
    if room < 1:
        return [("class:quote", one_line(head, max(0, width)))]
    return [("class:quote", head + one_line(entry.text, room))]

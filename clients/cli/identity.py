"""`blindpost init`, `address`, `trust-relay`: who I am and which relay I use."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clients.cli.asking import ask
from clients.cli.program import (
    WORD,
    Settings,
    common_options,
    is_terminal,
    keyring_option,
    needs_passphrase,
    pass_settings,
    run,
)
from clients.errors import ExitCode, NotFoundError, UsageError

if TYPE_CHECKING:
    from clients.config import ClientConfig

CONNECT_DEADLINE = 15.0
UNEASY_AFTER = 3.0  # seconds of silence until it is said what is waited for


@click.command()
@click.option(
    "--relay", "relay_url", type=WORD, metavar="URL", help="wss://host[:port][/path], or ws:// for tests."
)
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="PEM of the relay's own certificate authority; of an existing profile it is replaced.",
)
@click.option(
    "--invite", type=WORD, metavar="TOKEN", help="For a relay that wants one; else $BLINDPOST_INVITE."
)
@click.option(
    "--name", "display_name", type=WORD, metavar="DISPLAY", help="What you call yourself, for others."
)
@click.option(
    "--passphrase", "locked", is_flag=True, help="Ask for a passphrase instead of keeping a key file."
)
@keyring_option
@click.option("--qr/--no-qr", default=None, help="Show the address as QR code (default: on a terminal).")
@common_options
@pass_settings
def init(
    settings: Settings,
    relay_url: str | None,
    ca: Path | None,
    invite: str | None,
    display_name: str | None,
    locked: bool,
    keyring: bool,
    qr: bool | None,
) -> None:
    """Make a profile and register it at a relay.

    Prints one line: your address, to give to others. With it they write to you: blindpost chat LINE

    A profile that its relay does not know may be given another relay, or another invite; --ca alone replaces
    the certificate authority of any profile.

    \b
    Examples:  blindpost init --relay wss://relay.example --name "Alice"
               blindpost init --invite TOKEN          after the relay refused
    """
    from dataclasses import replace

    from clients.messenger import Messenger

    config = chosen_lock(settings.config(), locked=locked, keyring=keyring)
    if invite is not None:
        config = replace(config, invite=invite)
    if config.passphrase == "":
        raise UsageError("An empty passphrase protects nothing. Choose another, or leave it out.")
    made = _prepare(config, relay_url, ca)
    output = settings.output
    is_shown = is_terminal(sys.stderr) and not settings.as_json

    def tell(me: Messenger, *, is_registered: bool) -> None:
        output.note(f"{made} This is your address, to give to others:")
        value: dict[str, object] = {"address": me.address.text, "registered": is_registered}
        output.result(
            {**value, "profile": str(config.profile)},
            me.address.text,
            else_do="The profile is made all the same: blindpost address prints its address.",
        )
        if qr or (qr is None and is_shown):
            output.qr(me.address.text)
        if is_shown:
            output.note("Whoever has this line writes to you with: blindpost chat LINE", is_theirs=True)

    async def work() -> None:
        async with Messenger.from_config(config) as me:
            if display_name is not None:
                me.contacts.set_display_name(display_name)
            if not settings.as_json:
                tell(me, is_registered=False)  # at once: the relay may take its time
            is_registered = await me.connected(min(UNEASY_AFTER, CONNECT_DEADLINE))
            if not is_registered and me.refusal is None:
                output.note(f"Waiting for the relay {me.address.relay}, up to {CONNECT_DEADLINE:g} s.")
                is_registered = await me.connected(CONNECT_DEADLINE - UNEASY_AFTER)
            if settings.as_json:
                tell(me, is_registered=is_registered)
            if not is_registered:
                for problem in me.problems():
                    output.note(problem)
                if me.refusal is not None:
                    raise SystemExit(ExitCode.RELAY)
                output.note(
                    "The profile registers by itself as soon as the relay can be reached. "
                    "If the URL is wrong, run blindpost init again with the right one. To see what is wrong: "
                    "blindpost doctor"
                )
                raise SystemExit(ExitCode.QUEUED)
            if is_shown and not me.contacts.display_name:
                output.note("To be known by a name: blindpost settings --name YOURS")

    run(work())


def chosen_lock(config: "ClientConfig", *, locked: bool, keyring: bool) -> "ClientConfig":
    """The configuration of a new profile: with its key in the keyring, or a new passphrase if it is `locked`.

    A passphrase that is not given already is typed twice.
    """
    from dataclasses import replace

    if keyring and (locked or config.passphrase is not None):
        raise UsageError(
            "A profile has a passphrase, or its key in the system keyring: choose one of the two."
        )
    if keyring:
        return replace(config, keyring=True)
    if not locked or config.passphrase is not None:
        return config
    if not is_terminal(sys.stdin):
        raise UsageError(
            "A passphrase can be typed in a terminal only. Else give --passphrase-file FILE, or set "
            "BLINDPOST_PASSPHRASE."
        )
    entered = click.prompt("New passphrase", hide_input=True, confirmation_prompt=True, err=True)
    return replace(config, passphrase=entered)


def _prepare(config: "ClientConfig", relay_url: str | None, ca: Path | None) -> str:
    """Make the profile, or change the existing one; returns what was done."""
    from clients.clock import now_seconds
    from clients.parsing import parse_relay
    from clients.profile import Profile, unlocked_by
    from clients.relay_choice import change, read_authority

    relay = None if relay_url is None else parse_relay(relay_url)
    authority = None if ca is None else read_authority(ca)
    try:
        profile = Profile.open(config)
    except NotFoundError:
        if relay is None:
            raise UsageError("Which relay? Give it with --relay URL, as its operator told you.") from None
        Profile.create(config, relay, now_seconds(), authority).close()
        return f"Profile made in {config.profile}."
    try:
        if config.passphrase is not None and not needs_passphrase(config.profile):
            raise UsageError(
                f"The profile in {profile.path} has no passphrase. Give none, or choose another --profile."
            )
        if config.keyring and unlocked_by(config.profile) != "keyring":
            raise UsageError(
                f"The profile in {profile.path} does not have its key in the system keyring. Leave --keyring "
                "out, or choose another --profile."
            )
        if relay is None and authority is None and config.invite is None:
            raise UsageError(
                f"There is a profile already in {profile.path}. Use it, or choose another --profile.\n"
                "Its line to give to others: blindpost address\n"
                "What you call yourself: blindpost settings --name YOURS"
            )
        return change(profile, relay, authority, has_invite=config.invite is not None)
    finally:
        profile.close()


@click.command()
@click.option("--qr", is_flag=True, help="Show it as QR code, too.")
@click.option("--bare", is_flag=True, help="Without its token: whoever uses it begins as a request.")
@click.option("--renew", is_flag=True, help="Make a new line; who has the former one becomes a stranger.")
@common_options
@pass_settings
def address(settings: Settings, qr: bool, bare: bool, renew: bool) -> None:
    """Print your address: the line to give to others.

    The line lets its reader write to you at once, as often as it likes. Where the public can read it, give
    the --bare one. --renew ends a line that has got around; your contacts do not notice.

    \b
    Example:  blindpost address --qr
    """
    me = ask(settings, "renew_address" if renew else "me")
    text = me["bare_address" if bare else "address"]
    settings.output.result({"address": text}, text)
    if qr:
        settings.output.qr(text)
    if renew and not me["connected"]:
        settings.output.note(
            "The relay is told with the next command that connects; until then the former line counts, too."
        )


@click.command("trust-relay")
@click.argument("url", type=WORD)
@common_options
@pass_settings
def trust_relay(settings: Settings, url: str) -> None:
    """Accept that a relay has a new key, after asking.

    Its operator must have told you so, by another way.

    \b
    Example:  blindpost trust-relay wss://relay.example
    """
    done = ask(settings, "trust_relay", relay=url)
    is_new = "Its key will be learned anew at the next connection."
    text = is_new if done["was_known"] else "No key of it was known."
    settings.output.result(done, f"{done['relay']}: {text}", else_do="It is done all the same.")

"""`blindpost init`, `address`, `trust-relay`: who I am and which relay I use."""

import sys
from pathlib import Path

import click

from clients.cli.program import Settings, common_options, pass_settings, run
from clients.errors import ExitCode, UsageError

CONNECT_DEADLINE = 15.0


@click.command()
@click.option(
    "--relay", "relay_url", required=True, metavar="URL", help="wss://host[:port][/path], or ws:// for tests."
)
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="PEM of the relay's own certificate authority.",
)
@click.option("--passphrase", "ask", is_flag=True, help="Ask for a passphrase instead of keeping a key file.")
@click.option("--qr/--no-qr", default=None, help="Show the address as QR code (default: on a terminal).")
@common_options
@pass_settings
def init(settings: Settings, relay_url: str, ca: Path | None, ask: bool, qr: bool | None) -> None:
    """Make a profile and register it at a relay.

    Prints your address: the line to give to others.
    """  # fmt: skip
    from dataclasses import replace

    from clients.mailroom import now_seconds
    from clients.messenger import Messenger, parse_relay
    from clients.profile import Profile

    config = settings.config()
    if ask and config.passphrase is None:
        entered = click.prompt("New passphrase", hide_input=True, confirmation_prompt=True, err=True)
        config = replace(config, passphrase=entered)
    if config.passphrase == "":
        raise UsageError("An empty passphrase protects nothing. Choose another, or leave it out.")
    Profile.create(config, parse_relay(relay_url), now_seconds(), ca).close()
    output = settings.output

    async def work() -> None:
        async with Messenger.from_config(config) as me:
            is_registered = await me.connected(CONNECT_DEADLINE)
            output.note(f"Profile made in {config.profile}. This is your address, to give to others:")
            value: dict[str, object] = {"address": me.address.text, "registered": is_registered}
            output.result({**value, "profile": str(config.profile)}, me.address.text)
            if qr or (qr is None and not settings.as_json and sys.stderr.isatty()):
                output.qr(me.address.text)
            if not is_registered:
                for problem in me.problems():
                    output.note(problem)
                output.note("The profile registers by itself as soon as the relay can be reached.")
                raise SystemExit(ExitCode.QUEUED)

    run(work())


@click.command()
@click.option("--qr", is_flag=True, help="Show it as QR code, too.")
@common_options
@pass_settings
def address(settings: Settings, qr: bool) -> None:
    """Print your address: the line to give to others."""
    from clients.profile import Profile

    profile = Profile.open(settings.config())
    text = profile.address.text
    profile.close()
    settings.output.result({"address": text}, text)
    if qr:
        settings.output.qr(text)


@click.command("trust-relay")
@click.argument("url")
@common_options
@pass_settings
def trust_relay(settings: Settings, url: str) -> None:
    """Accept that a relay has a new key, after its operator has told you so."""
    from clients.messenger import parse_relay
    from clients.profile import Profile
    from clients.store.pins import Pins

    relay = parse_relay(url)
    profile = Profile.open(settings.config())
    was_known = Pins(profile.store).forget(relay)
    profile.close()
    text = "Its key will be learned anew at the next connection." if was_known else "No key of it was known."
    settings.output.result({"relay": relay.text, "was_known": was_known}, f"{relay}: {text}")

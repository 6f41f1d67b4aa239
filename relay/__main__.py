"""`blindpost relay`: read the settings, open key and store, listen, serve, end; or carry out a command.

Owns the order of these. Exit codes: 0 done, or stopped when asked; 2 could not start, or could not be done,
with one sentence that says why.
"""

import contextlib
import gc
import ipaddress
import json
import logging
import os
import sys
from collections.abc import Sequence
from typing import Final

from relay import data_directory
from relay.commands import COMMANDS
from relay.complaints import OperatorError
from relay.config import EVERYWHERE, Config, read
from relay.descriptors import raise_limit

COLLECT_AFTER: Final = 50_000  # objects, a few megabytes

log = logging.getLogger("blindpost.relay")


def _have_standard_streams() -> None:
    """Lead a closed stdin, stdout or stderr nowhere: else a file of ours gets its number, and its text."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
        if getattr(sys, name) is None:  # what Python makes of a stream that was closed when it started
            setattr(sys, name, open(os.devnull, "w" if number else "r"))  # noqa: SIM115 - till the process ends


def _say(line: str) -> None:
    """Write the listening line; a relay that nobody hears say it serves all the same."""
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        log.warning(
            "the listening line could not be written, because stdout is closed; the relay serves anyway"
        )
        # What is still buffered would fail again at exit.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def _forbid_core_dumps() -> None:
    """A core dump would hold the key, and what is on its way."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        # One byte is too little for a file, and ends what would go through a pipe to a program that collects
        # dumps; 0 does not end that.
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


def _warn_of_origins(config: Config, host: str, origins: tuple[str, ...]) -> None:
    """Who dials a URL that is not listed gets WRONG_ORIGIN: better said before the first does."""
    if config.public_urls or ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        return
    here = "this machine alone" if config.host in EVERYWHERE else f"whoever dials {origins[0]}"
    log.warning(
        "public_urls is not set, so %s can use this relay: set --public-urls to the URLs that others dial, "
        "such as wss://relay.example",
        here,
    )


def _serve(config: Config, as_json: bool) -> None:
    # Late, so that --help and a bad setting answer at once.
    from relay import ledger, listening, loops, server
    from relay.app import compose, open_store
    from relay.auth import RelayKey
    from relay.metrics import Metrics
    from wire.control_values import encode_base64url

    key = (
        RelayKey.generate()
        if config.store == "memory"
        else RelayKey.load_or_create(config.data_directory / data_directory.KEY)
    )
    listener = listening.listen(config.host, config.port)
    host, port = listener.getsockname()[:2]
    origins = config.origins(port)
    _warn_of_origins(config, host, origins)

    def announce() -> None:
        text = encode_base64url(key.public)
        line = f"blindpost relay listening on {origins[0]}  key {text}"
        if as_json:
            line = json.dumps({"event": "listening", "url": origins[0], "port": port, "relay_key": text})
        _say(line)

    async def serve() -> None:
        metrics = Metrics()
        store = open_store(config, metrics)
        try:
            relay = compose(config, key, origins, store, metrics)
            ledger.check(relay)
            try:
                await server.make_server(relay, announce).serve([listener])
            finally:
                await relay.mailboxes.tails.end_all()
        finally:
            await store.close()

    # What is there by now stays. What connections leave behind is seldom a cycle, and looking for cycles as
    # often as Python does by itself costs a tenth of a login, and a quarter of a frame among 2,000 users.
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 20)
    with listener, loops.runner(config.loop, config.login_deadline) as runner:
        runner.run(serve())


def _run(arguments: Sequence[str]) -> None:
    """Run a relay until it is asked to stop."""
    config, as_json = read(arguments, [f"{name} ({command.summary})" for name, command in COMMANDS.items()])
    from relay import logs

    logs.set_up(config.log_format == "json", config.log_level)
    raise_limit()
    if config.store == "memory":
        _serve(config, as_json)
    else:
        data_directory.prepare(config.data_directory)
        with data_directory.only_one(config.data_directory):
            _serve(config, as_json)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a relay, or the command that is named first."""
    # Whatever is created holds metadata at least: nobody else's to read.
    os.umask(0o077)
    _forbid_core_dumps()
    _have_standard_streams()
    given = sys.argv[1:] if arguments is None else arguments
    command = COMMANDS.get(given[0]) if given else None
    try:
        if command is None:
            _run(given)
        else:
            command.run(given[1:])
    except OperatorError as error:
        sys.stderr.write(f"blindpost relay: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(0)  # asked to stop before it served


if __name__ == "__main__":
    main()

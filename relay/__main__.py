"""`python -m relay`: read the settings, open key and store, listen, serve, end.

Owns the order of these and the sentences with which a start fails. Exit codes: 0 stopped when asked, 2 could
not start.
"""

import contextlib
import ipaddress
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TextIO

from relay.config import Config, ConfigError, read

log = logging.getLogger("blindpost.relay")

KEY_FILE: Final = "relay.key"
LOCK_FILE: Final = "relay.lock"


class StartError(Exception):
    """The relay cannot start; the text is one sentence for the operator."""


def _set_limits() -> None:
    """No core dump, which would hold the key; as many open sockets as the system allows."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _prepare(directory: Path) -> None:
    try:
        # The mode of a directory that is there already is its owner's choice; ours of the files is enough.
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"data directory {directory} cannot be used ({error.strerror}); choose another --data-directory"
        ) from error


@contextlib.contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Hold the directory: two relays over one database would not hear each other's doorbells."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    lock: TextIO
    with (directory / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StartError(
                f"another relay runs on {directory}; stop it, or choose another --data-directory"
            ) from error
        yield


def _serve(config: Config, as_json: bool) -> None:
    # Late, so that --help and a bad setting answer at once.
    from relay import server
    from relay.app import compose, open_store
    from relay.auth import KeyUnusableError, RelayKey
    from relay.store.base import StoreUnusableError
    from wire.addresses import RelayUrl
    from wire.control import encode_base64url

    try:
        key = (
            RelayKey.generate()
            if config.store == "memory"
            else RelayKey.load_or_create(config.data_directory / KEY_FILE)
        )
        listener = server.listen(config.host, config.port)
        host, port = listener.getsockname()[:2]

        shown = f"[{host}]" if ":" in host else host
        url = RelayUrl.parse(f"{config.scheme}://{shown}:{port}{config.root_path}").origin

        if not config.public_urls and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
            log.warning("public_urls is not set: who dials this relay by a name will get WRONG_ORIGIN")

        def announce() -> None:
            text = encode_base64url(key.public)
            line = f"blindpost relay listening on {url}  key {text}"
            if as_json:
                line = json.dumps({"event": "listening", "url": url, "port": port, "relay_key": text})
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

        async def serve() -> None:
            store = open_store(config)
            try:
                relay = compose(config, key, config.origins(port), store)
                await server.make_server(relay, announce).serve([listener])
            finally:
                await store.close()

        with listener, server.runner(config.login_deadline) as runner:
            runner.run(serve())
    except (KeyUnusableError, StoreUnusableError, server.ListenError) as error:
        raise StartError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a relay until it is asked to stop."""
    # Whatever is created holds metadata at least: nobody else's to read.
    os.umask(0o077)
    try:
        config, as_json = read(arguments)
        from relay import logs

        logs.set_up(config.log_format == "json", config.log_level)
        _set_limits()
        if config.store == "memory":
            _serve(config, as_json)
        else:
            _prepare(config.data_directory)
            with _only_one(config.data_directory):
                _serve(config, as_json)
    except (ConfigError, StartError) as error:
        sys.stderr.write(f"blindpost relay: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()

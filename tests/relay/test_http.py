"""The HTTP side: what is told to whom, TLS, path prefixes, and what never shows up in logs and metrics."""

import asyncio
import contextlib
import json
import logging
import re
import ssl
import time
from base64 import b64encode
from pathlib import Path

import pytest
import trustme
from prometheus_client.parser import text_string_to_metric_families

from relay.config import Config
from relay.logs import LOGGER
from relay.metrics import Drop, Metrics
from relay.rates import Limit
from relay.version import package_version
from tests.relay.devices import Account, Device, envelope
from tests.relay.peers import dial, logged_in, submitting
from tests.relay.web import get
from tests.support.relay_process import RelayProcess, running_relay
from wire import control, limits
from wire.addresses import Address
from wire.control_values import encode_base64url
from wire.errors import ErrorCode


async def test_info_tells_versions_key_and_every_limit(relay: RelayProcess) -> None:
    answer = await get(relay, "/v1/info")
    told = json.loads(answer.text)
    assert (answer.status, told["relay_key"]) == (200, relay.relay_key)
    assert told["protocol_versions"] == [limits.PROTOCOL_VERSION]
    assert relay.origin in told["public_urls"]
    assert told["limits"]["mailbox_frames"] == limits.MAILBOX_FRAMES
    assert told["limits"]["sockets_before_login_per_prefix"] == 200
    # Whoever adds a limit to the settings publishes it.
    limiting = {
        name
        for name in Config.model_fields
        if re.match(r"mailbox_|request_|login_|submit_|sockets_before|buffered_|.*_rate", name)
    }
    assert limiting | {"connections"} <= set(told["limits"])


async def test_no_header_tells_what_runs_here(relay: RelayProcess) -> None:
    assert set((await get(relay, "/v1/info")).headers) == {"content-length", "content-type"}


async def test_health_and_readiness(relay: RelayProcess) -> None:
    assert (await get(relay, "/healthz")).status == 200
    assert (await get(relay, "/readyz")).status == 200


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/", "/v1/ws"])
async def test_nothing_else_is_served(relay: RelayProcess, path: str) -> None:
    assert (await get(relay, path)).status == 404


async def test_metrics_are_for_loopback_without_a_proxy(relay: RelayProcess) -> None:
    assert (await get(relay, "/metrics")).status == 200
    for header in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
        assert (await get(relay, "/metrics", {header: "127.0.0.1"})).status == 403


async def test_metrics_for_the_bearer_of_the_token(tmp_path: Path) -> None:
    with running_relay(tmp_path, metrics_token="a token of some length") as relay:
        proxied = {"X-Forwarded-For": "198.51.100.7"}
        wrong = {"Authorization": "Bearer a token of some lengtH"}
        right = {"Authorization": "Bearer a token of some length"}
        assert (await get(relay, "/metrics", proxied)).status == 403
        assert (await get(relay, "/metrics", proxied | wrong)).status == 403
        assert (await get(relay, "/metrics", proxied | right)).status == 200
        assert "a token of some length" not in relay.log


def test_labels_come_from_closed_vocabularies_only() -> None:
    allowed: dict[str, set[str]] = {
        "code": {*ErrorCode},
        "reason": {*Drop},
        "rate": {*Limit},
        "mode": {"device", "submit"},
        "believed": {"yes", "no"},
        "version": {package_version()},
    }
    seen = set()
    for family in text_string_to_metric_families(Metrics().render().decode()):
        for sample in family.samples:
            for name, value in sample.labels.items():
                if name == "le":  # the bounds of a histogram
                    assert float(value) > 0
                    continue
                assert value in allowed[name], sample
                seen.add(name)
    assert seen == set(allowed)


def value_of(text: str, name: str, **labels: str) -> float:
    """The sample of that name and these labels."""
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


async def test_what_an_operator_watches_is_counted(tmp_path: Path) -> None:
    bob = Account()
    with running_relay(tmp_path, log_level="debug", mailbox_frames=2) as relay:
        begun = time.time()
        async with logged_in(relay.url, bob, pull=False), submitting(relay.url) as sender:
            for _ in range(2):
                await sender.put(bob.device.key, envelope(4096))
                await sender.next(control.Accepted)
            await sender.put(bob.device.key, envelope())
            assert (await sender.next(control.Refused)).code is ErrorCode.QUOTA
        text = (await get(relay, "/metrics")).text
        assert value_of(text, "blindpost_frames_accepted_total") == 2
        assert value_of(text, "blindpost_refused_total", code="QUOTA") == 1
        assert value_of(text, "blindpost_store_frames") == 2
        assert value_of(text, "blindpost_store_bytes") > 2 * 4096
        assert value_of(text, "blindpost_store_missing_frames") == 0
        assert value_of(text, "blindpost_commit_seconds_count") >= 3
        assert value_of(text, "blindpost_commit_seconds_sum") > 0
        assert abs(value_of(text, "blindpost_start_time_seconds") - begun) < 60
        assert value_of(text, "blindpost_build_info", version=package_version()) == 1
        assert value_of(text, "blindpost_buffered_bytes") >= 0
        assert "refused: QUOTA" in relay.log


@pytest.mark.parametrize("reason", Drop)
def test_each_drop_is_one_word_in_log_and_metrics(reason: Drop, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    with caplog.at_level(logging.DEBUG, LOGGER):
        metrics.dropped(reason, 3)
    assert caplog.messages == [f"dropped: {reason}, 3"]
    assert value_of(metrics.render().decode(), "blindpost_dropped_total", reason=reason) == 3


async def test_neither_log_nor_metrics_name_anybody(tmp_path: Path) -> None:
    bob, content = Account(), envelope(1024, b"CANARY-IN-THE-ENVELOPE")
    # Its public key is one with "bp1" in it, as one of 6,400 is: the relay's own name is nobody's address.
    key = tmp_path / "relay-data" / "relay.key"
    key.parent.mkdir()
    key.write_bytes((936).to_bytes(32))
    key.chmod(0o600)
    with running_relay(tmp_path, log_level="debug") as relay:
        assert "bp1" in relay.relay_key
        async with logged_in(relay.url, bob) as receiver, submitting(relay.url) as sender:
            await receiver.publish(bob.device)
            frame_id = await sender.put(bob.device.key, content)
            await sender.next(control.Accepted)
            await receiver.next_frame()
            await sender.fetch(bob.key, take=True)
            await sender.put(Device().key, content)
            await sender.send_text('{"type":"CANARY-IN-JSON"}')
        async with dial(relay.url) as broken:
            await broken.send_text("CANARY-BEFORE-LOGIN")
            await broken.next(control.Error)
        metrics = (await get(relay, "/metrics?CANARY-IN-QUERY=1", {"X-Canary": "CANARY-IN-HEADER"})).text
        relay.terminate()
        names = [bob.key, bob.device.key, frame_id]
        forms = [
            form for name in names for form in (name.hex(), encode_base64url(name), b64encode(name).decode())
        ]
        forms += ["CANARY", "127.0.0.1:", "bp1", Address(bob.key).text]
        log = relay.log.replace(relay.origin, "").replace(relay.relay_key, "")
        assert [form for form in forms if form in log or form in metrics] == []


async def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    files = {"tls_certificate": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    with running_relay(tmp_path, **files) as relay:
        assert relay.url.startswith("wss://")
        bob = Account()
        async with dial(relay.url, context) as peer:
            await peer.log_in(bob.device)
            await peer.register(bob)
        assert (await get(relay, "/healthz", tls=context)).status == 200


async def test_a_tls_handshake_has_a_deadline(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    both = tmp_path / "both.pem"
    with running_relay(tmp_path, tls_certificate=both, tls_key=both, login_deadline=0.4) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_path_prefix_works_with_and_without_the_proxy_that_strips_it(tmp_path: Path) -> None:
    with running_relay(tmp_path, root_path="/post/office") as relay:
        assert relay.origin.endswith("/post/office")
        for path in ("/v1/ws", "/post/office/v1/ws"):
            async with dial(f"ws://127.0.0.1:{relay.port}{path}") as peer:
                peer.origin = relay.origin
                await peer.log_in(Device())
        for path in ("/v1/info", "/post/office/v1/info"):
            assert (await get(relay, path)).status == 200

"""Prefixes and caps, without a socket."""

import ipaddress

import pytest

from relay.admission import Admission, Caps, Ticket, prefix_of

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.7", [], "192.0.2.7/32"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", [], "192.0.2.7/32"),
        ("fe80::1%eth0", [], "fe80::/64"),
        # Nobody outside the trusted proxies is believed.
        ("192.0.2.7", ["198.51.100.1"], "192.0.2.7/32"),
        ("10.1.1.1", ["198.51.100.1"], "198.51.100.1/32"),
        # What a client wrote itself stands to the left, and is not reached.
        ("10.1.1.1", ["203.0.113.9, 198.51.100.1"], "198.51.100.1/32"),
        ("10.1.1.1", ["203.0.113.9", "198.51.100.1, 10.2.2.2"], "198.51.100.1/32"),
        ("10.1.1.1", ["10.3.3.3"], "10.3.3.3/32"),
        ("10.1.1.1", ["garbage"], "unknown"),
        (None, [], "unknown"),
    ],
)
def test_which_prefix_a_socket_counts_for(peer: str | None, forwarded: list[str], expected: str) -> None:
    assert prefix_of(peer, forwarded, PROXIES) == expected


def test_caps_per_prefix_and_in_all() -> None:
    admission = Admission(Caps(before_login=3, before_login_per_prefix=2, submit_per_prefix=1, in_all=9))
    tickets = [admission.enter("a"), admission.enter("a")]
    assert admission.enter("a") is None
    tickets.append(admission.enter("b"))
    assert admission.enter("c") is None
    first, second, third = (ticket for ticket in tickets if ticket is not None)
    assert first.submit()
    assert not second.submit()
    assert third.submit()
    second.settle()
    assert admission.waiting == 0
    for ticket in (first, second, third, third):
        ticket.leave()
    assert not admission.submit
    assert not admission.before_login
    assert admission.in_all == 0


def test_whoever_was_not_let_in_holds_nothing() -> None:
    admission = Admission(Caps(1, 1, 1, 1))
    Ticket.none(admission).leave()
    assert (admission.waiting, admission.in_all) == (0, 0)


def test_a_known_device_leaves_its_prefix_and_keeps_its_place_in_all() -> None:
    admission = Admission(Caps(before_login=9, before_login_per_prefix=1, submit_per_prefix=9, in_all=2))
    first = admission.enter("a")
    assert first is not None
    first.settle()
    second = admission.enter("a")
    assert second is not None
    second.settle()
    assert admission.enter("a") is None
    first.leave()
    first.leave()
    assert admission.enter("a") is not None
    assert admission.enter("a") is None

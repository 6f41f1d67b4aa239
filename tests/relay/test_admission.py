"""Prefixes and caps, without a socket."""

import ipaddress

import pytest

from relay.admission import GIVE_WAY_AFTER, Admission, Caps, Ticket, prefix_of

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
    assert admission.enter("c") is None  # nobody here can give way
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


def let_in(admission: Admission, prefix: str, ended: list[str], name: str) -> Ticket:
    ticket = admission.enter(prefix)
    assert ticket is not None
    ticket.give_way = lambda: ended.append(name)
    return ticket


def test_where_all_places_are_taken_the_prefix_that_holds_most_gives_its_oldest() -> None:
    admission = Admission(Caps(before_login=5, before_login_per_prefix=3, submit_per_prefix=9, in_all=99))
    ended: list[str] = []
    held = [let_in(admission, prefix, ended, f"{prefix}{n}") for n in (1, 2) for prefix in ("a", "b")]
    held.append(let_in(admission, "b", ended, "b3"))
    held[3].idle = True
    let_in(admission, "c", ended, "c1")
    assert ended == ["b2"]  # an idle one before an older one
    let_in(admission, "d", ended, "d1")
    assert ended[1:] in (["a1"], ["b1"])
    assert admission.waiting == 5
    assert admission.in_all == 7  # the places in all are given back when the sockets have ended
    for ticket in held:
        ticket.leave()
    assert (admission.waiting, admission.in_all) == (2, 2)


def test_among_those_who_hold_alike_the_first_go_on_but_not_for_ever() -> None:
    now = [0.0]
    caps = Caps(before_login=3, before_login_per_prefix=9, submit_per_prefix=9, in_all=99)
    admission, ended = Admission(caps, lambda: now[0]), list[str]()
    for name in ("a", "b", "c"):
        let_in(admission, name, ended, name)
        now[0] += 1
    assert admission.enter("d") is admission.enter("a") is None
    now[0] = GIVE_WAY_AFTER
    let_in(admission, "d", ended, "d")
    assert ended == ["a"]
    assert admission.enter("e") is None
    now[0] += 1
    # Also one of many that a proxy brings, whose own prefix holds most.
    let_in(admission, "b", ended, "b2")
    assert ended == ["a", "b"]


def test_a_prefix_that_renews_its_socket_does_not_stand_before_others() -> None:
    now = [0.0]
    caps = Caps(before_login=3, before_login_per_prefix=9, submit_per_prefix=9, in_all=99)
    admission, ended = Admission(caps, lambda: now[0]), list[str]()
    first = let_in(admission, "a", ended, "a1")
    for at, prefix in ((1.0, "b"), (2.0, "a"), (3.0, "c")):
        now[0] = at
        let_in(admission, prefix, ended, prefix)
        if prefix == "a":
            first.leave()
    now[0] = 1 + GIVE_WAY_AFTER
    let_in(admission, "d", ended, "d")
    assert ended == ["b"]


def test_a_prefix_at_its_cap_frees_an_idle_place_of_its_own_and_no_other() -> None:
    admission = Admission(Caps(before_login=9, before_login_per_prefix=2, submit_per_prefix=9, in_all=99))
    ended: list[str] = []
    let_in(admission, "a", ended, "a1")
    second = let_in(admission, "a", ended, "a2")
    let_in(admission, "b", ended, "b1").idle = True
    assert admission.enter("a") is None
    second.idle = True
    assert admission.enter("a") is not None
    assert ended == ["a2"]
    assert admission.enter("a") is None


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

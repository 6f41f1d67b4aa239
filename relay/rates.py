"""How often who may ask for what.

Owns every rate of the relay and whom it counts: address prefixes, delivery tokens, mailboxes, accounts and
devices. All of it is in memory, and nothing here is logged, stored or exported; metrics count refusals by the
name of the rate. What counts a prefix and its target together names neither: see `relay.pairs`. Pure: the
clock is handed in. Knows no store: what a take or a request comes to is told by whoever asked it.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from relay.buckets import Buckets, Rate, Taken
from relay.pairs import Pairs
from wire.errors import ErrorCode, WireError


class Limit(StrEnum):
    """The rates of the relay, named as their settings."""

    PUT_PER_PREFIX = "put_rate_per_prefix"
    PUT_PER_TOKEN = "put_rate_per_token"  # noqa: S105 - the name of a setting, and no secret
    REQUEST = "request_rate"  # per prefix and mailbox
    TAKE = "take_rate"  # per prefix and account
    TAKE_PER_ACCOUNT = "take_rate_per_account"
    FETCH = "fetch_rate"  # per prefix
    WATCH = "watch_rate"  # per prefix
    DEVICE = "device_rate"
    REGISTER = "register_rate"  # per prefix
    LIST = "list_rate"  # per account
    SOCKET = "socket_rate"  # per prefix
    HTTP = "http_rate"  # per prefix


_SENTENCES: Final = {
    Limit.FETCH: "too many fetches from your address",
    Limit.WATCH: "too many watches from your address",
    Limit.DEVICE: "this device asks for too many changes",
    Limit.REGISTER: "too many new devices from your address",
    Limit.LIST: "this account changes its device list too often",
}


# Not frozen: one is made for each frame that comes alone, and that would take three times as long.
@dataclass(slots=True)
class Granted:
    """How many of some frames may be put now; `retry_after`: seconds until more may, if not all."""

    count: int
    retry_after: int = 0


class Rates:
    """Every rate of one relay. `clock`: nanoseconds that only rise; `refused` is told of each refusal."""

    def __init__(
        self,
        rates: Mapping[Limit, Rate],
        refused: Callable[[Limit], None],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._buckets = {limit: Buckets(rates[limit], clock) for limit in Limit}
        self._pairs = {limit: Pairs(self._buckets[limit], clock) for limit in (Limit.REQUEST, Limit.TAKE)}
        self._refused = refused

    def of(self, limit: Limit) -> Buckets:
        """The buckets of one rate."""
        return self._buckets[limit]

    def pair(self, limit: Limit, prefix: str, target: bytes) -> bytes:
        """The key of what this prefix asks of one mailbox or account."""
        return self._pairs[limit].name(prefix, target)

    def refuse(self, limit: Limit, key: object) -> int:
        """Count a refusal; seconds until it is worth another try."""
        self._refused(limit)
        return self._buckets[limit].wait(key)

    def check(self, limit: Limit, key: object) -> None:
        """Count one in. Raises WireError(RATE_LIMITED) with the seconds to wait."""
        if not self._buckets[limit].take(key).count:
            wait = self.refuse(limit, key)
            raise WireError(
                ErrorCode.RATE_LIMITED, f"{_SENTENCES[limit]}; go on in {wait} s", retry_after=wait
            )

    def socket(self, prefix: str) -> int:
        """Count a new socket in: 0, or the seconds until this prefix may open another one."""
        return 0 if self.of(Limit.SOCKET).take(prefix).count else self.refuse(Limit.SOCKET, prefix)

    def http(self, prefix: str) -> int:
        """Count an HTTP request in: 0, or the seconds until this prefix may make another one."""
        return 0 if self.of(Limit.HTTP).take(prefix).count else self.refuse(Limit.HTTP, prefix)

    def forget_all_of(
        self, account_key: bytes, device_keys: Collection[bytes], token_hashes: Collection[bytes]
    ) -> None:
        """Forget whatever is counted by one of these keys; pairs name nobody, and end by themselves."""
        for limit in (Limit.LIST, Limit.TAKE_PER_ACCOUNT):
            self._buckets[limit].drop((account_key,))
        self._buckets[Limit.DEVICE].drop(device_keys)
        self._buckets[Limit.PUT_PER_TOKEN].drop(token_hashes)

    def forget(self, limit: Limit) -> None:
        """Forget every bucket that is full, so that a quiet relay remembers no prefix for long."""
        self._buckets[limit].forget()
        if limit in self._pairs:
            self._pairs[limit].renew()


class Pace:
    """The rates as they apply to one connection, which comes from `prefix`."""

    def __init__(self, rates: Rates, prefix: str) -> None:
        self._rates = rates
        self._prefix = prefix
        # Looked up once: these two are on the way of every frame.
        self._by_prefix = rates.of(Limit.PUT_PER_PREFIX)
        self._by_token = rates.of(Limit.PUT_PER_TOKEN)

    def device(self, device_key: bytes) -> None:
        """Count a change that a device asks for. Raises WireError(RATE_LIMITED)."""
        self._rates.check(Limit.DEVICE, device_key)

    def deletion(self, device_key: bytes, *, is_known: bool) -> None:
        """Count a wish to delete an account. Raises WireError(RATE_LIMITED)."""
        self.device(device_key)
        if not is_known:  # which costs the relay a signature, and a look at its database
            self.newcomer()

    def newcomer(self) -> None:
        """Count a list that a device brings which is not registered. Raises WireError(RATE_LIMITED)."""
        self._rates.check(Limit.REGISTER, self._prefix)

    def device_list(self, account_key: bytes) -> None:
        """Count a list that a registered device brings. Raises WireError(RATE_LIMITED)."""
        self._rates.check(Limit.LIST, account_key)

    def fetch(self) -> None:
        """Count a fetch. Raises WireError(RATE_LIMITED)."""
        self._rates.check(Limit.FETCH, self._prefix)

    def watch(self) -> None:
        """Count a watch. Raises WireError(RATE_LIMITED)."""
        self._rates.check(Limit.WATCH, self._prefix)

    def put(self, token_hash: bytes | None, count: int) -> Granted:
        """Count as many frames in as prefix and token may put now."""
        if self._by_prefix.spend(self._prefix, count):
            if token_hash is None or self._by_token.spend(token_hash, count):
                return Granted(count)
            self._by_prefix.give_back(self._prefix, count)
        by_prefix = self._by_prefix.take(self._prefix, count)
        granted = by_prefix.count
        if token_hash is not None:
            granted = self._by_token.take(token_hash, granted).count
            by_prefix.give_back(by_prefix.count - granted)
        if granted == count:
            return Granted(count)
        keys: dict[Limit, object] = {Limit.PUT_PER_PREFIX: self._prefix, Limit.PUT_PER_TOKEN: token_hash}
        empty = [limit for limit, key in keys.items() if key and not self._rates.of(limit).room(key)]
        # None is empty any more if one has just grown again.
        return Granted(granted, max((self._rates.refuse(limit, keys[limit]) for limit in empty), default=1))

    def request(self, mailbox: bytes, count: int) -> Taken:
        """Room for as many requests to a mailbox as may be put now, to be given back where it is not used."""
        return self._rates.of(Limit.REQUEST).take(self._pair(Limit.REQUEST, mailbox), count)

    def refuse_request(self, mailbox: bytes) -> int:
        """There was no room for another request: the seconds until there is."""
        return self._rates.refuse(Limit.REQUEST, self._pair(Limit.REQUEST, mailbox))

    def _pair(self, limit: Limit, target: bytes) -> bytes:
        return self._rates.pair(limit, self._prefix, target)

    def room(self, limit: Limit, key: object) -> int:
        """How many this rate lets in right now."""
        return self._rates.of(limit).room(key)

    def forget(
        self, account_key: bytes, device_keys: Collection[bytes], token_hashes: Collection[bytes]
    ) -> None:
        """An account is no more: neither are its rates."""
        self._rates.forget_all_of(account_key, device_keys, token_hashes)

    def take(self, account_key: bytes) -> tuple[Taken, ...]:
        """Count a take of an account's one-time prekeys; empty when it is one too many."""
        keys: dict[Limit, object] = {
            Limit.TAKE: self._pair(Limit.TAKE, account_key),
            Limit.TAKE_PER_ACCOUNT: account_key,
        }
        for limit, key in keys.items():
            if not self._rates.of(limit).room(key):
                self._rates.refuse(limit, key)
                return ()
        return tuple(self._rates.of(limit).take(key) for limit, key in keys.items())


def give_back(taken: Iterable[Taken]) -> None:
    """Put one of each back."""
    for each in taken:
        each.give_back(1)

"""keys.ratchet against the package DoubleRatchet: they understand each other whatever the network does."""

import pytest
from doubleratchet import KDF, Header

from keys.errors import DecryptError
from keys.ratchet import MAX_JUMP
from tests.keys.oracles.network import REFUSED, Network, Side, sides
from tests.keys.oracles.ratchet_of_others import Body, ChainKdf, OurBody, Parts, RootKdf, TheirRatchet

STEPS = 1000


@pytest.mark.parametrize("we_initiate", [True, False], ids=["we initiate", "they initiate"])
@pytest.mark.parametrize("body", [Body, OurBody])
@pytest.mark.parametrize("seed", range(6))
async def test_hundreds_of_messages_open_whatever_the_network_does(
    seed: int, body: type[Body | OurBody], we_initiate: bool
) -> None:
    pair = sides(f"conversation {seed}", we_initiate=we_initiate, parts=Parts(body=body))
    network = Network(*pair, seed)
    await network.run(STEPS)
    met = {**network.counts, "ratchet keys": len(network.ratchet_keys)}
    at_least = {"written": 400, "late": 100, "lost": 20, "repeated": 20, "spoilt": 30, "ratchet keys": 30}
    assert {what: met[what] for what, few in at_least.items() if met[what] < few} == {}, met


class OtherRootKdf(RootKdf):
    @staticmethod
    def _get_info() -> bytes:
        return b"blindpost/v1/dr/toor\0"


class OtherBody(Body):
    """Without the fresh bytes in the derivation."""

    @staticmethod
    def _expanded(fresh: bytes, key: bytes) -> tuple[bytes, bytes, bytes]:
        return Body._expanded(bytes(16), key)


class OtherRatchet(TheirRatchet):
    """Without the header in what is authenticated."""

    @staticmethod
    def _build_associated_data(associated_data: bytes, header: Header) -> bytes:
        return associated_data


class OtherChainKdf(KDF):
    """The message key for 0x02, the next chain key for 0x01."""

    @staticmethod
    async def derive(key: bytes, data: bytes, length: int) -> bytes:
        return await ChainKdf.derive(key, data[::-1], length)


@pytest.mark.parametrize("we_initiate", [True, False], ids=["we initiate", "they initiate"])
@pytest.mark.parametrize(
    "parts",
    [
        Parts(root_kdf=OtherRootKdf),
        Parts(chain_kdf=OtherChainKdf),
        Parts(body=OtherBody),
        Parts(ratchet=OtherRatchet),
    ],
    ids=["root", "chain", "body", "associated data"],
)
async def test_a_side_that_differs_in_any_one_part_is_not_understood(parts: Parts, we_initiate: bool) -> None:
    initiator, acceptor = sides("control", we_initiate=we_initiate, parts=parts)
    with pytest.raises(REFUSED):
        await acceptor.decrypt(await initiator.encrypt(b"first"))


async def skipping(initiator: Side, acceptor: Side, count: int) -> bytes:
    """The message behind `count` that never arrive."""
    await acceptor.decrypt(await initiator.encrypt(b"first"))
    for _ in range(count):
        await initiator.encrypt(b"lost")
    return await initiator.encrypt(b"last")


@pytest.mark.parametrize("we_initiate", [True, False], ids=["we initiate", "they initiate"])
async def test_both_take_a_jump_of_1000_and_neither_one_of_1001(we_initiate: bool) -> None:
    initiator, acceptor = sides("jump", we_initiate=we_initiate)
    assert await acceptor.decrypt(await skipping(initiator, acceptor, MAX_JUMP)) == b"last"
    initiator, acceptor = sides("jump", we_initiate=we_initiate)
    over = await skipping(initiator, acceptor, MAX_JUMP + 1)
    with pytest.raises(REFUSED):
        await acceptor.decrypt(over)


async def test_a_chain_that_ends_over_1000_further_is_where_ours_is_stricter() -> None:
    # Theirs goes on without the lost keys; ours refuses, and the client begins a new session (repair).
    for we_initiate in (True, False):
        initiator, acceptor = sides("closing", we_initiate=we_initiate)
        await skipping(initiator, acceptor, MAX_JUMP + 1)
        await initiator.decrypt(await acceptor.encrypt(b"reply"))
        message = await initiator.encrypt(b"next chain")
        assert int.from_bytes(message[32:36], "big") == MAX_JUMP + 3
        if we_initiate:
            with pytest.warns(UserWarning, match="More than 1000"):
                assert await acceptor.decrypt(message) == b"next chain"
        else:
            with pytest.raises(DecryptError):
                await acceptor.decrypt(message)

"""What a peer asks for and waits for the answer to: a list stored, prekeys, tokens, a bundle.

Owns the way from the request to its answer. Knows no socket, and not who else waits.
"""

from collections.abc import Callable, Sequence

from relay.actions import Action, Allow, Fetch, Publish, Register
from relay.rates import Pace
from relay.session import Session
from relay.surroundings import Surroundings
from wire.errors import WireError

Request = Register | Publish | Allow | Fetch


async def answer(
    request: Request,
    device_key: bytes | None,
    session: Session,
    pace: Pace,
    shared: Surroundings,
    enrolled: Callable[[], None],
) -> Sequence[Action]:
    """Do what is asked for; returns what to say. `enrolled`: the device was not registered, and is now."""
    mailboxes = shared.mailboxes
    try:
        match request:
            case Register(ref, device_list, invite_hash):
                terms = await shared.registration.terms(device_list.account_key, invite_hash, shared.now())
                await mailboxes.register(device_list, terms)
                if not session.registered:
                    enrolled()
                return session.enrolled(ref)
            case Publish(ref, prekeys, anew):
                assert device_key is not None
                return session.published(ref, await mailboxes.publish(device_key, prekeys, anew))
            case Allow(ref, tokens):
                assert device_key is not None
                await mailboxes.allow(device_key, tokens)
                return session.allowed(ref)
            case _:
                return session.offered(request.ref, await shared.directory.fetch(request, pace))
    except WireError as error:
        return session.failed(error, request.ref)

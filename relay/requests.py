"""What a peer asks for and waits for the answer to: a list stored, prekeys, tokens, a bundle, its account.

Owns the way from the request to its answer. Knows no socket, and not who else waits.
"""

from collections.abc import Callable, Sequence

from relay import accounts
from relay.actions import Action, Allow, Delete, Export, Fetch, Publish, Register, Send
from relay.answers import bundle_message, error_message, stock_message
from relay.mailboxes import Resident
from relay.rates import Pace
from relay.session import Session
from relay.surroundings import Surroundings
from wire import control
from wire.errors import WireError

Request = Register | Publish | Allow | Fetch | Export | Delete


async def answer(
    request: Request,
    device_key: bytes | None,
    resident: Resident,
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
                stock = await mailboxes.publish(device_key, prekeys, anew)
                return [Send(control.Published(ref=ref, stock=stock_message(stock)))]
            case Allow(ref, tokens):
                assert device_key is not None
                await mailboxes.allow(device_key, tokens)
                return [Send(control.Allowed(ref=ref))]
            case Export(ref, place):
                assert device_key is not None
                return [Send(await accounts.exported(ref, place, device_key, pace, shared))]
            case Delete(ref, account_key):
                deletion = await mailboxes.delete(account_key, resident)
                pace.forget(account_key, deletion.device_keys, deletion.tokens)
                return session.deleted(ref, wiped=await mailboxes.wiped())
            case _:
                offer = await shared.directory.fetch(request, pace)
                return [Send(bundle_message(request.ref, offer))]
    except WireError as error:
        return [Send(error_message(error, request.ref))]

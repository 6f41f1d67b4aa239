"""Secrets and what is done with them: identities, prekeys, handshake, ratchet, seal, content.

Pure and synchronous: no sockets, no disk, no clock, no asyncio. Randomness (`Random`) and time (`now`,
Unix seconds) are parameters. Every state is an immutable value; an operation returns the next one, so
nothing changes unless the caller keeps the result, which it does only after authentication.
"""

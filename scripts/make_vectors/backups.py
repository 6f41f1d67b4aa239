"""Backups: passphrase and parameters to head and key, content to chunks, and what must not open.

The parameters are small: what is checked is the layout, and that every part of it counts.
"""

import hashlib

from keys.backups import CHUNK, BackupLock, Parameters
from scripts.make_vectors.people import MALFORMED, UNDECRYPTABLE, File, flipped, named, refused

PASSPHRASE = b"correct horse battery staple"


def backups() -> File:
    """One chunk, exactly one, and three."""
    made: list[File] = []
    for name, size in (("one chunk", 300), ("exactly one chunk", CHUNK), ("three chunks", 2 * CHUNK + 5)):
        parameters = Parameters(named(f"backup {name}", 16), 1 + len(made), 8192 * (1 + len(made)))
        lock = BackupLock.make(PASSPHRASE, parameters)
        content = named(f"backup content {name}", size)
        pieces = [content[at : at + CHUNK] for at in range(0, size, CHUNK)]
        sealed = [lock.seal(i, piece, is_last=i == len(pieces) - 1) for i, piece in enumerate(pieces)]
        made.append(
            {
                "name": name,
                "passphrase": PASSPHRASE.decode(),
                "operations": parameters.operations,
                "memory": parameters.memory,
                "salt": parameters.salt.hex(),
                "content_size": size,
                "content_is": f"shake_256 of 'blindpost vectors: backup content {name}'",
                "head": lock.head.hex(),
                "key": lock.key.hex(),
                "file_size": len(lock.head) + sum(map(len, sealed)),
                "file_sha256": hashlib.sha256(lock.head + b"".join(sealed)).hexdigest(),
                **({"file": (lock.head + sealed[0]).hex()} if size < CHUNK else {}),
            }
        )
    head = bytes.fromhex(str(made[0]["head"]))
    malformed = {
        "format 2": head[:20] + b"\x02" + head[21:],
        "no passes": head[:21] + bytes(4) + head[25:],
        "11 passes": head[:21] + b"\0\0\0\x0b" + head[25:],
        "8191 bytes of memory": head[:25] + (8191).to_bytes(8, "big") + head[33:],
        "over 1 GiB of memory": head[:25] + (2**30 + 1).to_bytes(8, "big") + head[33:],
        "a byte short": head[:-1],
        "a byte more": head + b"\0",
        "another label": b"x" + head[1:],
    }
    return {
        "backups": made,
        "refused_heads": [refused(MALFORMED, why, head=item) for why, item in malformed.items()],
        "not_opening_heads": [
            refused(UNDECRYPTABLE, "commitment changed", head=flipped(head, 80)),
            refused(UNDECRYPTABLE, "salt changed", head=flipped(head, 48)),
            refused(UNDECRYPTABLE, "passes changed", head=flipped(head[:24] + b"\x03" + head[25:], 24)),
        ],
        "refused_chunks": chunks(BackupLock.open(PASSPHRASE, head)),
    }


def chunks(lock: BackupLock) -> list[File]:
    """The one chunk of the first backup, each time in a wrong place or form."""
    sealed = lock.seal(0, named("backup content one chunk", 300), is_last=True)
    return [
        {**refused(UNDECRYPTABLE, why, chunk=chunk), "number": number, "is_last": is_last}
        for why, number, is_last, chunk in (
            ("as one that is followed", 0, False, sealed),
            ("in the second place", 1, True, sealed),
            ("a bit changed", 0, True, flipped(sealed, 5)),
            ("truncated", 0, True, sealed[:-1]),
            ("nothing but a tag", 0, True, sealed[-16:]),
        )
    ]

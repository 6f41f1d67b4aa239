"""Write tests/vectors/*.json: inputs and outputs of every construction of this protocol.

    .venv/bin/python -m scripts.make_vectors          write the files
    .venv/bin/python -m scripts.make_vectors --check  say whether they are as this program would write them

Deterministic, but for the KEM ciphertexts (handshakes.py). tests/vectors/README.md explains the files.
"""

import json
import sys

from scripts.make_vectors.addresses import addresses
from scripts.make_vectors.backups import backups
from scripts.make_vectors.contents import contents
from scripts.make_vectors.envelopes import conversation, seals
from scripts.make_vectors.handshakes import handshakes
from scripts.make_vectors.identities import device_lists, prekeys
from scripts.make_vectors.logins import checkpoints, logins
from scripts.make_vectors.people import FOLDER
from scripts.make_vectors.ratchets import ratchets
from scripts.make_vectors.small_things import small_things
from scripts.make_vectors.wire_messages import controls, frames

FILES = {
    "addresses": addresses,
    "backups": backups,
    "checkpoint": checkpoints,
    "content": contents,
    "control": controls,
    "conversation": conversation,
    "device_lists": device_lists,
    "frames": frames,
    "handshake": handshakes,
    "login": logins,
    "prekeys": prekeys,
    "ratchet": ratchets,
    "seal": seals,
    "small_things": small_things,
}


def main() -> int:
    """Write or check."""
    texts = {f"{name}.json": json.dumps(make(), indent=1) + "\n" for name, make in FILES.items()}
    if "--check" in sys.argv:
        paths = {name: FOLDER / name for name in texts}
        stale = [name for name, path in paths.items() if not path.exists() or path.read_text() != texts[name]]
        print("as written" if not stale else f"different: {', '.join(stale)}")
        return bool(stale)
    for name, text in texts.items():
        (FOLDER / name).write_text(text)
        print(f"wrote tests/vectors/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

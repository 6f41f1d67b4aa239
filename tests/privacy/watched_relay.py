"""A relay that shows what is in its memory, and that may have a leak planted: never one to use.

`python -m tests.privacy.watched_relay SOCKET LEAKS FLAGS...` serves like `python -m relay FLAGS...`. Whoever
connects to SOCKET and sends the names of people gets what the objects of this process tie together. The
collector is off: what a connection leaves behind in a cycle stays, and is seen.
"""

import gc
import json
import os
import socket
import sys
import threading
from typing import TextIO

from relay import __main__
from tests.privacy import leaks, object_graph


class Watch(threading.Thread):
    """Answers whoever connects to `place`, one after the other."""

    def __init__(self, place: str) -> None:
        super().__init__(daemon=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(place)
        self._listener.listen()
        self._before: list[object] = []

    def begin(self) -> None:
        """Nobody has come yet: note what there is."""
        self._before = object_graph.mutable_before()

    def run(self) -> None:
        while True:
            peer, _ = self._listener.accept()
            with peer, peer.makefile("rw") as stream:
                self._answer(stream.readline(), stream)

    def _answer(self, line: str, stream: TextIO) -> None:
        """In a copy of this process, so that looking leaves nothing behind."""
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return
        try:
            now = gc.get_objects()
            request = json.loads(line)
            names = {who: [bytes.fromhex(key) for key in keys] for who, keys in request["names"].items()}
            graph = object_graph.Graph(self._before, now, names)
            stream.write(json.dumps(graph.look(request["pairs"]).__dict__) + "\n")
            stream.flush()
        finally:
            os._exit(0)


def main() -> None:
    place, planted, *flags = sys.argv[1:]
    watch = Watch(place)
    freeze = gc.freeze

    def begin() -> None:
        watch.begin()
        freeze()

    gc.disable()
    gc.freeze = begin
    for name in filter(None, planted.split(",")):
        leaks.LEAKS[name]()
    watch.start()
    __main__.main(flags)


if __name__ == "__main__":
    main()

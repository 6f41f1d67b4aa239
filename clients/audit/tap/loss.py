"""A network that loses one frame of a certain size on its way from a relay to a client.

Owns finding where frames begin in what a server sends (RFC 6455, 5.2: unmasked). Knows nothing of what is in
them.
"""

from clients.audit.tap.reading import HEAD_END


def frame_at(data: bytes, start: int) -> tuple[int, int] | None:
    """(where its payload begins, where the frame ends); None where its head is not whole."""
    if len(data) < start + 2:
        return None
    size, head = data[start + 1] & 0x7F, 2
    wide = {126: 2, 127: 8}.get(size, 0)
    if wide:
        head += wide
        if len(data) < start + head:
            return None
        size = int.from_bytes(data[start + 2 : start + head])
    return start + head, start + head + size


class Loss:
    """Loses the first frame whose payload has `size` bytes; `happened` says whether it has."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._connection = -1
        self._left = 0  # bytes of the frame that have not come yet
        self.happened = False

    def passed_on(self, connection: int, before: bytes, piece: bytes) -> bytes:
        """What of a piece goes on to the client, to whom `before` was sent up to it."""
        if self.happened:
            if connection != self._connection:
                return piece
            left, self._left = self._left, max(0, self._left - len(piece))
            return piece[left:]
        head, separator, _ = before.partition(HEAD_END)
        if not separator:
            return piece  # the answer to the request, as a rule: no frame begins in it
        at, sent = len(head) + len(separator), before + piece
        while found := frame_at(sent, at):
            payload, end = found
            if end - payload == self._size and at >= len(before):
                self.happened, self._connection = True, connection
                self._left = max(0, end - len(sent))
                return sent[len(before) : at] + sent[end:]
            at = end
        return piece

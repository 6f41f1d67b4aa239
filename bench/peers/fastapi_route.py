"""What forwarding costs in a WebSocket route of FastAPI on uvicorn: the bench's own, run as a program.

Prints its port. Knows nothing of the relay, and promises nothing.
"""

import socket
import struct

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
people: dict[int, WebSocket] = {}


@app.websocket("/")
async def forward(websocket: WebSocket) -> None:
    """The first message is the connection's number; each later one begins with its recipient's."""
    await websocket.accept()
    try:
        people[struct.unpack(">I", await websocket.receive_bytes())[0]] = websocket
        while True:
            message = await websocket.receive_bytes()
            recipient = people.get(struct.unpack_from(">I", message)[0])
            if recipient is not None:
                await recipient.send_bytes(message)
    except (WebSocketDisconnect, RuntimeError):
        return  # the other side has gone


def main() -> None:
    """Serve on a free port."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", backlog=4096)).run(sockets=[listener])


if __name__ == "__main__":
    main()

"""What passes on the way to a relay: heard, written down, and read as HTTP and WebSocket."""

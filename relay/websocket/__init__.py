"""WebSockets (RFC 6455) where the bytes arrive: what a frame costs the relay is decided here."""

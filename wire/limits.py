"""Every limit both sides must agree on, in one place.

Owns the numbers; knows nothing about who enforces them. The relay publishes the ones it enforces in
`GET /v1/info`. Sizes are bytes, times are seconds.
"""

from typing import Final

PROTOCOL_VERSION: Final = 1

# Key and hash sizes (specification constants).
PUBLIC_KEY: Final = 32  # Ed25519 or X25519 public key, RFC 8032 / RFC 7748
SIGNATURE: Final = 64  # Ed25519, RFC 8032
HASH: Final = 32  # SHA-256
NONCE: Final = 32  # login nonces of both sides
MLKEM_PUBLIC_KEY: Final = 1184  # ML-KEM-768 encapsulation key, FIPS 203 table 3
MLKEM_CIPHERTEXT: Final = 1088  # ML-KEM-768 ciphertext, FIPS 203 table 3

# Envelopes and frames.
ENVELOPE_MIN: Final = 1024
ENVELOPE_MAX: Final = 65_536
BUCKETS: Final = (1024, 2048, 4096, 8192, 16_384, 32_768, 65_536)
FRAME_ID: Final = 16
TEXT_MAX: Final = 65_000  # UTF-8 bytes of one text; more is TOO_LARGE before anything is read on

# Control messages (JSON).
CONTROL_MAX: Final = 65_536
CONTROL_DEPTH: Final = 8
PREKEYS_PER_PAGE: Final = 20
RESULTS_PER_MESSAGE: Final = 256

# Accounts and device lists.
DEVICES_PER_ACCOUNT: Final = 8
INVITE: Final = 16  # random, so nobody guesses one
FORMER_LISTS: Final = 64  # kept by the relay for each account
FORMER_PER_BUNDLE: Final = 24  # of them in one answer: the largest ones fit a control message
RELAY_TEXT_MAX: Final = 200  # characters of host, port and path in an address

# Prekeys.
ONE_TIME_PUBLISHED: Final = 100  # published at first, per kind
ONE_TIME_LOW: Final = 25  # topped up below this
ONE_TIME_MAX: Final = 200  # the relay keeps no more per device and kind
SIGNED_PREKEY_ROTATE: Final = 7 * 86_400
SIGNED_PREKEY_MAX_AGE: Final = 90 * 86_400
PRIVATE_PREKEY_KEEP: Final = 60 * 86_400  # mailbox TTL 30 days + outbox delay
CLOCK_SKEW: Final = 86_400  # how far in the future a peer's `created` may lie

# Mailboxes.
MAILBOX_FRAMES: Final = 10_000
MAILBOX_BYTES: Final = 64 * 1024 * 1024
MAILBOX_TTL: Final = 30 * 86_400

REQUEST_FRAMES: Final = 100  # put without a delivery token that holds, beside the mailbox's own quota
REQUEST_BYTES: Final = 1024 * 1024

# Delivery tokens and presence.
TOKEN: Final = 16  # of a delivery token, and of a presence secret: random, so nobody guesses one
TOKENS_MAX: Final = 16  # per mailbox
CAPABILITIES_MAX: Final = 4  # presence capabilities under which one device is seen
ATTACHED_MAX: Final = 64  # mailboxes with a token, per submit connection
WATCHES_MAX: Final = 8  # per submit connection

# What a device may leave for itself at the relay, which cannot read it.
CHECKPOINT_MAX: Final = 256

# What a relay shows an account of what it holds.
RECORDS_PER_PAGE: Final = 256
PLACE_MAX: Final = 65  # where the next page begins: opaque to whoever asks

# Connections.
UNACKNOWLEDGED_FRAMES: Final = 256
UNACKNOWLEDGED_BYTES: Final = 1024 * 1024
OUTBOUND_BUFFER: Final = 1024 * 1024
LOGIN_DEADLINE: Final = 10.0
IDLE_SUBMIT: Final = 120.0
FRAGMENTS_MAX: Final = 1024  # WebSocket frames that one message may come in
CONTROL_FRAMES_MAX: Final = 60  # WebSocket pings and pongs of a client within PING_EVERY
PING_EVERY: Final = 30.0
DEAD_AFTER: Final = 60.0
DRAIN: Final = 10.0

"""Public values as the store keeps them: each message asks for several, and they hardly ever change.

Owns what is remembered of decoded device lists and prekeys. Their signatures were verified before they were
stored.
"""

from functools import lru_cache
from typing import Final

from wire.device_lists import decode_device_list
from wire.prekeys import decode_prekey

REMEMBERED: Final = 256

known_list = lru_cache(maxsize=REMEMBERED)(decode_device_list)
known_prekey = lru_cache(maxsize=REMEMBERED)(decode_prekey)

"""Device lists as the store keeps them: each frame asks for two of them, and they hardly ever change.

Owns what is remembered. Their signatures were verified before they were stored.
"""

from functools import lru_cache
from typing import Final

from wire.device_lists import decode_device_list

REMEMBERED: Final = 256

known_list = lru_cache(maxsize=REMEMBERED)(decode_device_list)

"""How long a platform wants us to wait before the next call. Pure; knows no platform."""

import math
from collections.abc import Mapping

_MOST = 600.0
# Platforms ask for whole seconds; without the header, or with nonsense in it: the first pause that their documentation advises.
_DEFAULT = 1.0


def retry_after(headers: Mapping[str, str]) -> float:
    """The seconds of a `Retry-After` header."""
    for name, value in headers.items():
        if name.lower() == "retry-after":
            try:
                seconds = float(value)
            except ValueError:
                break
            return _DEFAULT if math.isnan(seconds) else min(max(seconds, 0.0), _MOST)
    return _DEFAULT

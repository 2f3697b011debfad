"""A child process that kills itself at a chosen sync."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any


def killed_at_sync(owner: Any, name: str, call: Callable[[], object], steps: int) -> bool:
    """Run ``call()`` in a child that kills itself instead of call number ``steps`` of ``owner.name``, which syncs.
    Returns whether it came to that."""
    child = os.fork()
    if child == 0:
        left, sync = steps, getattr(owner, name)

        def killing(place: Any) -> None:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            sync(place)

        setattr(owner, name, killing)
        code = 1
        try:
            call()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)

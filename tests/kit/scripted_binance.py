"""Binance with answers by script, behind the real client and a clock that tests move."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from virtual_time import VirtualWall

from tickdeck.infrastructure.exchanges.binance.http import Answer
from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange
from tickdeck.infrastructure.exchanges.binance.wire import HmacKey, HttpRequest
from tickdeck.infrastructure.resilience import BreakerTransition

__all__ = ["EPOCH", "Venue"]

EPOCH = 1_790_000_000_000_000_000


class Venue:
    """Answers each path with the given responses, one after the other, then repeats the last one."""

    def __init__(self, *answers: Any, offset_ms: int = 0) -> None:
        self.answers = list(answers)
        self.offset_ms = offset_ms
        self.sent: list[HttpRequest] = []
        self.changes: list[BreakerTransition] = []
        self.clock = VirtualWall(EPOCH)
        self.exchange = BinanceExchange(
            HmacKey("the-key", "the-secret"), clock=self.clock, http=self, on_transition=self.changes.append
        )

    async def send(self, request: HttpRequest) -> Answer:
        if request.target == "/api/v3/time":
            now = self.clock.time_ns() // 10**6 + self.offset_ms
            return Answer(200, {}, json.dumps({"serverTime": now}).encode())
        self.sent.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, body, headers = answer if isinstance(answer, tuple) else (200, answer, {})
        return Answer(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())

    async def close(self) -> None:
        pass

    def params(self, number: int = -1) -> dict[str, str]:
        request = self.sent[number]
        return dict(parse_qsl(request.body or request.target.partition("?")[2]))

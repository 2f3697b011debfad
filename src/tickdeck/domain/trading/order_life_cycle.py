"""The life cycle of an order: which status may follow which, by the kind of evidence.

Most steps follow from the venue's reports. Fills and confirmed amends, which may arrive late, also change a status that
looked final.
"""

from __future__ import annotations

from collections.abc import Mapping

from tickdeck.domain.values import OrderStatus

__all__ = ["ORDER_BY_FILL", "ORDER_BY_REPORT", "ORDER_FOUND_AFTER_ALL", "ORDER_TRANSITIONS"]

_S = OrderStatus

ORDER_BY_REPORT: Mapping[OrderStatus, tuple[OrderStatus, ...]] = {
    _S.SUBMITTED: (_S.ACCEPTED, _S.UNKNOWN, _S.REJECTED, _S.CANCELLED, _S.EXPIRED),
    _S.UNKNOWN: (_S.ACCEPTED, _S.REJECTED, _S.CANCELLED, _S.EXPIRED),
    _S.ACCEPTED: (_S.REJECTED, _S.CANCELLED, _S.EXPIRED),
    _S.PARTIALLY_FILLED: (_S.CANCELLED, _S.EXPIRED),
    _S.FILLED: (),
    _S.CANCELLED: (),
    _S.REJECTED: (),
    _S.EXPIRED: (),
}
"""By a report of the venue about the status, and from ``unknown`` to ``rejected`` also by our own conclusion. A report
for which there is no step changes nothing: it is late, or repeated."""

ORDER_BY_FILL: Mapping[OrderStatus, tuple[OrderStatus, ...]] = {
    _S.SUBMITTED: (_S.PARTIALLY_FILLED, _S.FILLED),
    _S.UNKNOWN: (_S.PARTIALLY_FILLED, _S.FILLED),
    _S.ACCEPTED: (_S.PARTIALLY_FILLED, _S.FILLED),
    _S.PARTIALLY_FILLED: (_S.FILLED,),
    _S.FILLED: (_S.PARTIALLY_FILLED, _S.CANCELLED, _S.EXPIRED),
    _S.CANCELLED: (_S.FILLED,),
    _S.REJECTED: (_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.EXPIRED),
    _S.EXPIRED: (_S.FILLED,),
}
"""By a fill, or by an amend that the venue confirmed. A filled order is open again, or ended as the venue had reported,
if an amend left it a remainder. A fill of a rejected order revokes the rejection."""

ORDER_FOUND_AFTER_ALL: Mapping[OrderStatus, tuple[OrderStatus, ...]] = {
    _S.REJECTED: (_S.ACCEPTED, _S.CANCELLED, _S.EXPIRED),
}
"""By a report about an order that we had concluded to be dead (``Order.conclude_rejected``)."""

ORDER_TRANSITIONS: Mapping[OrderStatus, tuple[OrderStatus, ...]] = {
    status: tuple(
        after
        for after in OrderStatus
        if after in (*ORDER_BY_REPORT[status], *ORDER_BY_FILL[status], *ORDER_FOUND_AFTER_ALL.get(status, ()))
    )
    for status in OrderStatus
}
"""All steps together: which status may follow which."""

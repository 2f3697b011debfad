"""Binance spot: addresses and signatures (``wire``), translation of its messages (``mappers``), market data (``feed``),
orders (``trading``), and its dated properties (``profile``). Nothing else in Tickdeck knows its protocol.
"""

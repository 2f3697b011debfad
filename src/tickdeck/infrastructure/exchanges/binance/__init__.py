"""Binance spot: its addresses and signatures (``wire``), its words (``mappers``), market data (``feed``), orders
(``trading``), and what it promises, with a date (``profile``). Nothing else in Tickdeck knows its protocol."""

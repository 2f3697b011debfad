"""Binance's words and ours, a module for each thing they are about: translation and nothing else. Numbers stay decimal
strings until they are ``Decimal``; unknown fields are ignored."""

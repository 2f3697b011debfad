"""The replay deck: its state, its keys and its view."""

from tickdeck.interfaces.cli.deck.deck import Deck, deck_possible

__all__ = [
    "Deck",
    "deck_possible",
]

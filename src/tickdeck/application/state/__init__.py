"""The state of a run's objects as JSON values, and back into the objects of a new process.

What comes in: objects that the code of a run makes when it is prepared, always the same. They are found again by their
place; everything in them that may change is stored by value. Nothing is executed to read a state, and no class is
loaded for it.
"""

from tickdeck.application.state.naming import Named, name_objects
from tickdeck.application.state.reading import Reader
from tickdeck.application.state.scope import ForeignHandlerError, Namespace, Scope, StateError
from tickdeck.application.state.subscribed import read_subscriptions, write_subscriptions
from tickdeck.application.state.writing import Writer

__all__ = [
    "ForeignHandlerError",
    "Named",
    "Namespace",
    "Reader",
    "Scope",
    "StateError",
    "Writer",
    "name_objects",
    "read_subscriptions",
    "write_subscriptions",
]

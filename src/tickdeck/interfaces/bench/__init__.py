"""``tickdeck bench``: what Tickdeck does per second, beside the machine's best and other libraries.

``command`` is the command line, ``rows`` the table of what is measured, ``runner`` takes a row's figures from worker
processes (``worker``), and the other modules hold the measurements themselves.
"""

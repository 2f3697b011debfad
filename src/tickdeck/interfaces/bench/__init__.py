"""``tickdeck bench``: Tickdeck's speed, compared with the best possible on this machine and with other libraries.

``command`` is the command line. ``rows`` is the table of measurements. ``runner`` collects a row's figures from worker
processes (``worker``). The other modules contain the measurements.
"""

"""One file per command of ``tickdeck``; those to a running run are in ``control``. Code that two commands share is one
level up."""

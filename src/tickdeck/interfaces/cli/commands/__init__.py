"""One file per command of ``tickdeck``. Code that two commands share is one level up."""

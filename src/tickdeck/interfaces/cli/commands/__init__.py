"""A file for each command of ``tickdeck``. What two commands share lies one level up."""

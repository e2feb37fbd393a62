"""What an experiment takes, what of it is there and what is still to come: from files, without torch or locks."""

"""What an experiment takes, what is there and what is still to come: from files, without torch or locks."""

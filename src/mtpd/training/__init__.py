"""Training of one stage: the runner's hooks, and how an interrupted stage resumes."""

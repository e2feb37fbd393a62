"""Where an experiment is: what each stage does, from the files that stages write. No torch, no lock."""

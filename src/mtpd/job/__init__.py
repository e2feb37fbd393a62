"""What keeps a job alive and tells of it: lock, signals, failures, progress. It changes no result."""

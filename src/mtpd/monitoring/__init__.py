"""What a stage shows of itself while it runs, for people and other processes. It changes no result."""

"""Tables and plots of a finished experiment."""

"""Why a stage can end before its last epoch."""


class DivergedError(RuntimeError):
    """A loss or weight became NaN or infinite; the message says which, and when."""


class NoDistillationError(ValueError):
    """The distillation loss of the first batch teaches nothing: it or its gradient is zero or not finite."""


class OtherVersionError(ValueError):
    """The saved state of the stage is of code that trains otherwise; the message names what can be done."""


class StoppedEarly(Exception):
    """The stage had to stop and has saved its state; the same call resumes it."""

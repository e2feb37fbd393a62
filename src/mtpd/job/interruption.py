"""What the terminal says after Ctrl-C, in place of Snakemake's errors: for it, these jobs have failed."""

from __future__ import annotations

NOTICED = "Terminating processes on user request, this might take some time."  # Snakemake, at Ctrl-C
STOPPING = "Ctrl-C: stages that train save their state and end. Please wait: a second Ctrl-C would not save."
INTERRUPTED = "Interrupted. What was trained is saved: the same command goes on from there."


class Interruption:
    """Whether Ctrl-C ends the run, from the messages of Snakemake."""

    def __init__(self):
        self.noticed = False

    def instead_of(self, text: str | None, event: str | None, error: str | None) -> str | None:
        """What to show in place of a message: another text, "" for nothing, None for the message itself.

        How a job ends of Ctrl-C is not told: it depends on what it does just then. The log of the run has it.

        Args:
            text: the message.
            event: Snakemake's name for its kind.
            error: the class of the exception that it tells, if it tells one.
        """
        if text == NOTICED:
            self.noticed = True
            return STOPPING
        if not self.noticed:
            return None
        if error == "WorkflowError":  # the last message
            return INTERRUPTED
        return "" if error or event == "job_error" else None

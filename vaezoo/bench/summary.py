"""How a run ended."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Summary:
    """How a run ended. Exit code 0: every trial is done, or was skipped because its variant is
    `Unsupported` there.
    """

    counts: Counter[str] = field(default_factory=Counter)  # status -> trials
    trained: int = 0  # in this run
    reused: int = 0  # finished in an earlier one
    unmeasured: int = 0  # finished ones whose new metrics could not be measured
    refused: int = 0  # finished ones with numbers that cannot be
    stopped_by: int = 0  # signal
    # one sentence each, what kept the run from going on
    errors: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all well, 1 some trial did not end `done` or has a number that cannot be, 128 + its
        number after a signal.
        """
        if self.stopped_by:
            return 128 + self.stopped_by
        return int(
            bool(self.errors or self.unmeasured or self.refused)
            or any(n for status, n in self.counts.items() if status not in ("done", "skipped"))
        )

    def __str__(self) -> str:
        parts = [f"{n} {status}" for status, n in sorted(self.counts.items()) if n]
        done = ", ".join(parts) or "nothing done"
        ends = f"{done}; {self.trained} run now, {self.reused} found finished"
        return ends + (f"; {self.refused} with numbers that cannot be" if self.refused else "")

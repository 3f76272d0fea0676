"""What a check finds."""

from dataclasses import dataclass
from typing import Literal

from pipeline.logs import on_one_line


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was found, and what to do about it."""

    verdict: Literal["ok", "warning", "fault"]
    """A fault keeps a build from being done; a warning does not, or not every one."""
    thing: str
    finding: str
    remedy: str = ""

    def __str__(self) -> str:
        """One line for people."""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.verdict:<8} {self.thing:<15} {on_one_line(self.finding + remedy)}"


def clock(whose: str, theirs: float, ours: float) -> Finding:
    """Compare a service's clock with this machine's.

    Args:
        whose: the service.
        theirs: its time, in whole seconds since 1970.
        ours: this machine's, when it was asked.
    """
    apart = theirs + 0.5 - ours
    said = f"{whose} is {abs(apart):.0f} s {'ahead' if apart > 0 else 'behind'}"
    if abs(apart) < 5:  # a second is lost in whole seconds, more on the way
        return Finding("ok", "clock", f"that of {whose} agrees to {abs(apart) + 0.5:.0f} s")
    # S3 refuses requests that are more than 15 minutes off: RequestTimeTooSkewed in AWS's list of error codes.
    return Finding("fault" if abs(apart) > 600 else "warning", "clock", said, "set both by NTP: `timedatectl`")

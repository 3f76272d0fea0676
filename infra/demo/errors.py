"""What ends the demo."""


class DemoError(Exception):
    """One line: what, why, and what to do."""

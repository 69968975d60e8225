"""Was made for a plugin API that does not exist yet."""


class Scheduler:
    """Nothing in it matters: its version is refused."""

    api_version = 99

"""Another scheduler of the same name."""


class Twin:
    """Stands for one."""

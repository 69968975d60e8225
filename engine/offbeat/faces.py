"""What the thin faces have in common: modules whose classes are plugins, each loaded through its entry point when it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def face(
    module: dict[str, Any], group: str, plugins: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a module.

    Args:
        module: its `globals()`; what was loaded stays there.
        group: of the entry points.
        plugins: class -> name of its entry point.

    The first raises AttributeError with the nearest name, and what `offbeat.registry.load` raises.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807 - it becomes the module's
        if name not in plugins:
            hint = ""
            if not name.startswith("_"):
                from offbeat.errors import nearest

                hint = f". {nearest(name, module['__all__'])}"
            raise AttributeError(f"module {module['__name__']!r} has no attribute {name!r}{hint}")
        from offbeat.registry import load

        # By distribution: a stranger's plugin of the same name does not get in between.
        value = module[name] = load(group, f"offbeat:{plugins[name]}")
        return value

    return __getattr__, lambda: sorted(module["__all__"])

"""Watching the stages of a pipeline while it runs."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from unittest import mock

Observer = tuple[object, str, Callable]


@contextlib.contextmanager
def observing(*observers: Observer) -> Iterator[None]:
    """For the time of a `with` block, each method `name` of `owner` also hands its result and arguments to `record`."""
    with contextlib.ExitStack() as stack:
        for owner, name, record in observers:
            stack.enter_context(mock.patch.object(owner, name, _observed(getattr(owner, name), record)))
        yield


def _observed(original: Callable, record: Callable) -> Callable:
    @functools.wraps(original)
    def wrapped(*arguments, **options):
        result = original(*arguments, **options)
        record(result, *arguments)
        return result

    return wrapped

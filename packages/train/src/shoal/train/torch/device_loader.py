"""A loader whose batches are on a device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch.utils.data import DataLoader


class DeviceLoader:
    """Loops as the loader does, and has its attributes; batches are moved.

    Args:
        loader: whose batches.
        device: where to.
        ahead: to a GPU, move the next batch on a stream of its own while this one is worked on.
    """

    def __init__(self, loader: DataLoader[Any], device: torch.device, ahead: bool) -> None:
        self._loader = loader
        self._device = device
        self._ahead = ahead and device.type == "cuda"

    def __len__(self) -> int:
        return len(self._loader)

    def __getattr__(self, name: str) -> Any:
        if name == "_loader":  # While it is unpickled.
            raise AttributeError(name)
        return getattr(self._loader, name)

    def __iter__(self) -> Iterator[Any]:
        if not self._ahead:
            for batch in self._loader:
                yield moved(batch, self._device)
            return
        yield from self._iterate_ahead()

    def _iterate_ahead(self) -> Iterator[Any]:
        import torch

        stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        batches = iter(self._loader)

        def fetch() -> Any:
            batch = next(batches, _END)
            if batch is _END:
                return _END
            with torch.cuda.stream(stream):
                return moved(batch, self._device, non_blocking=True)

        upcoming = fetch()
        while upcoming is not _END:
            current = torch.cuda.current_stream(self._device)
            current.wait_stream(stream)
            _used_by(upcoming, current)
            batch, upcoming = upcoming, fetch()
            yield batch


_END = object()


def moved(batch: Any, device: torch.device, non_blocking: bool = False) -> Any:
    """Returns a batch with all its tensors on a device: dicts, lists, tuples, named tuples, and what has a method `to`."""
    if hasattr(batch, "to"):
        return batch.to(device, non_blocking=non_blocking) if non_blocking else batch.to(device)
    if isinstance(batch, Mapping):
        return {name: moved(value, device, non_blocking) for name, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(moved(value, device, non_blocking) for value in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(moved(value, device, non_blocking) for value in batch)
    return batch


def _used_by(batch: Any, stream: torch.cuda.Stream) -> None:
    """The memory of these tensors is not given to others before the stream has done with it."""
    if hasattr(batch, "record_stream"):
        batch.record_stream(stream)
    elif isinstance(batch, Mapping):
        for value in batch.values():
            _used_by(value, stream)
    elif isinstance(batch, Sequence) and not isinstance(batch, str | bytes):
        for value in batch:
            _used_by(value, stream)

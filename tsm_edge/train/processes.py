"""Data-parallel training: the processes that torchrun started, each with an equal share of every batch.

Gradients are averaged after every step (all-reduce), so all processes hold the same weights. Batch normalisation sees
the share of its own process only, as in torch.nn.parallel.DistributedDataParallel; its running statistics are averaged
at the end of an epoch, before they are measured or written. The first process measures and writes.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..errors import ProcessLost, UsageError

if TYPE_CHECKING:
    import torch

_ENVIRONMENT = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
#: of one process for another, which may decode a data set meanwhile; torchrun ends the others when one dies
_PATIENCE = datetime.timedelta(days=2)
_LEAST_SHARE = 2  # clips: what batch normalisation needs
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Processes:
    """One of ``count`` processes: ``rank`` among all, ``local_rank`` among those of its machine."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that measures, writes and reports."""
        return self.rank == 0

    def check_batch(self, batch: int) -> None:
        """Refuse so many clips or takes a step where they cannot be divided; UsageError."""
        if batch % self.count or batch < _LEAST_SHARE * self.count:
            raise UsageError(
                "The clips of a step cannot be shared equally.",
                found=f"{batch} a step for {self.count} processes",
                allowed=f"a multiple of {self.count}, {_LEAST_SHARE * self.count} and more",
                hint="take another --batch; of takes a step has --batch x --frames / --take-frames",
            )

    def share(self, batch: np.ndarray) -> np.ndarray:
        """This process's part of the clips of one step."""
        return batch[self.rank :: self.count]

    def mean_(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace float tensors by their means over all processes, in place."""
        if self.count == 1:
            return
        import torch

        each = list(tensors)
        flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in each])
        with _together():
            torch.distributed.all_reduce(flat)
        flat /= self.count
        for tensor, values in zip(each, flat.split([tensor.numel() for tensor in each])):
            tensor.detach().copy_(values.view_as(tensor))

    def agreed(self, value: _Value) -> _Value:
        """The first process's value, in every process."""
        if self.count == 1:
            return value
        import torch

        holder = [value]
        with _together():
            torch.distributed.broadcast_object_list(holder)
        return holder[0]

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.count > 1:
            import torch

            with _together():
                torch.distributed.barrier()

    @contextlib.contextmanager
    def one_a_machine_first(self) -> Iterator[None]:
        """Let one process of each machine go first, for example to decode clips; the others find what it left."""
        if self.local_rank:
            self.wait()
        yield
        if not self.local_rank:
            self.wait()


ALONE = Processes()


@contextlib.contextmanager
def _together() -> Iterator[None]:
    """What all processes do at once; ProcessLost when one of them has gone."""
    try:
        yield
    except RuntimeError as error:  # torch's own, torch.distributed.DistError among them
        raise ProcessLost(
            "Another process of the training has ended, or cannot be reached.",
            found=str(error).splitlines()[0][:200],
            hint="what went wrong there is said there; torchrun names the process that failed first",
        ) from error


def started() -> Processes:
    """What torchrun says about this process in its environment; ``ALONE`` without it.

    Raises:
        UsageError: the environment is not one that torchrun makes.
    """
    said = [os.environ.get(name) for name in _ENVIRONMENT]
    if None in said:
        return ALONE
    try:
        rank, count, local_rank = (int(str(text)) for text in said[:3])
    except ValueError:
        rank = count = local_rank = -1
    if not 0 <= local_rank <= rank < count:
        found = ", ".join(f"{name}={text}" for name, text in zip(_ENVIRONMENT, said[:3]))
        raise UsageError("The environment of torchrun is damaged.", found=found, hint="unset these variables")
    return Processes(rank, count, local_rank)


@contextlib.contextmanager
def joined(processes: Processes, device: str) -> Iterator[None]:
    """Connect the processes; all but the first are silent. device: torch's name of what trains.

    An error is still printed by the process that meets it.

    Raises:
        ProcessLost: another process has ended.
    """
    if processes.count == 1:
        yield
        return
    import torch
    import torch.distributed.nn.functional

    # Imported above, before there is a group: its functions have the group that exists when it is imported (which an
    # optimizer does) as a default argument. The group would then outlive destroy_process_group, with threads that
    # may abort a process that ends.
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    backend = "nccl" if device.startswith("cuda") else "gloo"
    with _together():
        torch.distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        with contextlib.ExitStack() as silent:
            if not processes.first:
                nowhere = silent.enter_context(open(os.devnull, "w"))
                silent.enter_context(contextlib.redirect_stdout(nowhere))
                silent.enter_context(contextlib.redirect_stderr(nowhere))
            yield
    finally:
        torch.distributed.destroy_process_group()

"""Who works in a folder: one at a time. A lock of the kernel on a disk, a lease that is renewed in a bucket."""

import fcntl
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import DatasetError
from pipeline.logs import log_event
from pipeline.store.place import BucketPath, Place

RENEWED_SECONDS = 10.0
"""How often a lease is renewed."""
LEASE_SECONDS = 40.0
"""A lease that nobody has renewed for so long is nobody's: four renewals, so that a slow one takes none away."""
_WATCH_SECONDS = 1.2 * RENEWED_SECONDS
_GLANCE_SECONDS = 0.1  # `holder` has the lock for some microseconds

_log = logging.getLogger(__name__)


def holder(folder: Place) -> str | None:
    """Who is at work in a folder, in words; None when nobody is. Nothing stays changed.

    A lease that was renewed of late, by the store's clock and ours, is somebody's. Any other is watched for as long as
    it takes to be renewed.

    Raises:
        OSError: when the folder or the lease cannot be looked at.
    """
    if isinstance(folder, BucketPath):
        return _lease_holder(_lock_of(folder))
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return None if _take(descriptor, fcntl.LOCK_SH) else "a process that has its lock"
    finally:
        os.close(descriptor)


def _lock_of(folder: BucketPath) -> BucketPath:
    return folder.with_name(f"{folder.name}.lock")  # beside the folder, in which it would be damage


def _lease_holder(lock: BucketPath) -> str | None:
    try:
        if abs(time.time() - lock.stat().st_mtime) > LEASE_SECONDS:
            tag = lock.tag()
            time.sleep(_WATCH_SECONDS)
            if lock.tag() == tag:
                return None
        known = json.loads(lock.read_bytes())
        return f"process {known['process']} on {known['host']}"
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError):
        return f"somebody whose lock {lock} is not one of ours"


@contextmanager
def locked(folder: Place) -> Iterator[None]:
    """Hold a folder's lock.

    Raises:
        DatasetError: when another process holds it.
    """
    if isinstance(folder, BucketPath):
        with _leased(_lock_of(folder), str(folder)):
            yield
        return
    with _kernel_lock(folder):
        yield


@contextmanager
def _kernel_lock(folder: Path) -> Iterator[None]:
    """The kernel drops it when the process dies, so that none is ever stale."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not _take(descriptor, fcntl.LOCK_EX):
            time.sleep(_GLANCE_SECONDS)
            if not _take(descriptor, fcntl.LOCK_EX):
                raise _held(folder)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _held(folder: object) -> DatasetError:
    return DatasetError(f"{folder} is being built by another process. Wait for it, or choose another output folder")


@contextmanager
def _leased(lock: BucketPath, what: str) -> Iterator[None]:
    """Hold a lease on something, renewed by a thread."""
    lease = _Lease(lock, what)
    lease.take()
    over = threading.Event()
    keeper = threading.Thread(target=lease.keep, args=(over,), daemon=True)
    keeper.start()
    try:
        yield
        lease.check()
    finally:
        over.set()
        keeper.join()
        lease.give_back()


class _Lease:
    """An object beside a folder, which whoever works in the folder writes again and again.

    No clock is read on more than one machine: whoever wants the folder watches the object for as long as a lease is
    good for, and takes it over, on condition that it is still the same, if it has not changed meanwhile.
    """

    def __init__(self, lock: BucketPath, what: str) -> None:
        self._lock = lock
        self._what = what
        self._tag = ""
        self._good_until = 0.0
        self._lost = False

    def take(self) -> None:
        """Take the lease.

        Raises:
            DatasetError: when somebody else has it, or the bucket cannot be written.
        """
        try:
            try:
                self._write("")
            except FileExistsError:
                self._write(self._abandoned())
        except FileExistsError as error:
            raise _held(self._what) from error
        except OSError as error:
            raise DatasetError(
                f"{self._what} cannot be written: {error.strerror}. See to the bucket, the AWS_* variables and the "
                f"permissions"
            ) from error

    def _abandoned(self) -> str:
        """Watch another's lease until it can be taken for dead."""
        tag, patience = self._lock.tag(), time.monotonic() + LEASE_SECONDS
        log_event(
            _log,
            logging.WARNING,
            "waiting for a lock, which may be that of a build that was killed",
            lock=str(self._lock),
            seconds=LEASE_SECONDS,
        )
        while time.monotonic() < patience:
            time.sleep(1.0)
            if self._lock.tag() != tag:
                raise FileExistsError
        return tag

    def keep(self, over: threading.Event) -> None:
        """Renew the lease until it is over."""
        while not over.wait(RENEWED_SECONDS):
            try:
                self._write(self._tag)
            except FileExistsError:
                self._lost = True
                return
            except OSError as error:
                log_event(_log, logging.WARNING, "lock could not be renewed", lock=str(self._lock), reason=str(error))

    def check(self) -> None:
        """Refuse to end well what another may have worked in as well.

        Raises:
            DatasetError: when the lease was lost.
        """
        if self._lost or time.monotonic() > self._good_until:
            raise DatasetError(
                f"{self._what} may have been built by another process as well, for its lock could not be renewed. "
                f"Run the same build again"
            )

    def give_back(self) -> None:
        """Let the next one in."""
        if not self._lost:
            self._lock.unlink(missing_ok=True)

    def _write(self, expected: str) -> None:
        """Write the lease anew on condition that it is what it was: absent, or the one of that tag."""
        asked = time.monotonic()
        holder = {"host": socket.gethostname(), "process": os.getpid(), "token": secrets.token_hex(8)}
        self._tag = self._lock.write_if(json.dumps(holder).encode(), expected)
        self._good_until = asked + LEASE_SECONDS

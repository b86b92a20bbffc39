"""Files that are whole whenever the writer is stopped: the old content, or the new one."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from tinynn.errors import CheckpointError, expects

__all__ = ["write"]

PREFIX, SUFFIX = ".tinynn-", ".tmp"


def write(owner: str, path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Give a file the content that ``fill`` writes.

    It is written beside the old one, under another name, and takes its place when it is safe on the disk. A new file
    gets the mode that any new file gets, an old one keeps its own. Where the path is a symbolic link, the file that it
    points to is written. What writers left behind that were killed in the same folder is removed.

    Args:
        owner: who writes, for errors.
        path: the file.
        fill: is called with a new, empty file, open for reading and writing.

    Raises:
        CheckpointError: if it could not be written; the old file is as it was then, and nothing else is left behind.
    """
    target = Path(os.path.realpath(path))
    what = f"to write {str(path)!r}"
    try:
        mode = mode_of(target)
        remove_abandoned(target.parent)
        replace(target, mode, fill)
    except OSError as error:
        remedy = "what was there before is unchanged"
        raise CheckpointError(expects(owner, what, error.strerror or error, remedy)) from error
    try:
        sync_folder(target.parent)
    except OSError as error:
        remedy = "the new file is in place, but might not outlast a power failure"
        raise CheckpointError(expects(owner, f"{what} for good", error.strerror or error, remedy)) from error


def mode_of(target: Path) -> int | None:
    """Return the mode of a file that may be replaced, None if there is none."""
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"no folder {str(target.parent)!r}")
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "something there that is no regular file")
    if not os.access(target, os.W_OK):  # a folder that can be written to would let it be replaced
        raise PermissionError(errno.EACCES, "a file there that is read-only")
    return stat.S_IMODE(mode)


def replace(target: Path, mode: int | None, fill: Callable[[BinaryIO], object]) -> None:
    """Write a file beside the target and put it in its place."""
    temporary, file = create(target.parent)
    try:
        if mode is not None:
            temporary.chmod(mode)
        fill(file)
        file.flush()
        os.fsync(file.fileno())
        if sys.platform == "win32":
            file.close()  # an open file cannot be renamed there; elsewhere it has to stay locked until it is
        temporary.replace(target)
    except BaseException:  # an interrupt, too
        with contextlib.suppress(OSError):
            file.close()
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    file.close()


def create(folder: Path) -> tuple[Path, BinaryIO]:
    """Return a new file that stays locked as long as its writer lives."""
    while True:
        temporary = folder / f"{PREFIX}{os.urandom(8).hex()}{SUFFIX}"
        file = temporary.open("x+b")
        with contextlib.suppress(OSError):  # some file systems have no locks
            lock(file.fileno(), wait=True)
        if temporary.exists():
            return temporary, file
        file.close()  # another writer removed it in the moment before it was locked


def lock(descriptor: int, *, wait: bool) -> None:
    """Lock an open file for this process; the lock goes when the process does."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_abandoned(folder: Path) -> None:
    """Remove the files of writers that are dead: nobody holds the lock any more."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(PREFIX) and name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    remove_unless_locked(Path(entry.path))


def remove_unless_locked(path: Path) -> None:
    """Remove a file, or raise OSError if another process works on it."""
    if sys.platform == "win32":
        path.unlink()  # an open file cannot be removed there
        return
    with path.open("rb") as file:
        lock(file.fileno(), wait=False)
        path.unlink()


def sync_folder(folder: Path) -> None:
    """Make the new name in a folder last, where folders can be synced."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # that of file systems which cannot
            raise
    finally:
        os.close(descriptor)

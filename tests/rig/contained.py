"""The inside of `container.py`: run as the first process of new namespaces, it makes itself a root and becomes a command.

Laws: the standard library alone, and no shell; in the end there is nothing to write but the data folder and /tmp, no
program but Python and ours, no user but nobody, and no way to get more rights.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

NOBODY = 65534
_MOUNT_SETATTR = 442  # the same number on every architecture of ours; Linux 5.12
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_READ_ONLY = 1
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION = 0x20080522
_DEVICES = ("null", "zero", "random", "urandom")

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _protect(place: Path, *, read_only: bool) -> None:
    """Make a mount, and if read-only all below it, refuse or take writes."""
    wanted = _MountAttributes(set=_READ_ONLY) if read_only else _MountAttributes(clear=_READ_ONLY)
    flags = _AT_RECURSIVE if read_only else 0
    said = ctypes.byref(wanted), ctypes.c_size_t(ctypes.sizeof(wanted))
    _checked(_libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, bytes(place), flags, *said))


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)  # noqa: S603, S607 - words of our own; PATH is the caller's


def _bind(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    _mount("--bind", str(source), str(target))


def _build(root: Path, shown: dict[str, str], written: dict[str, str]) -> None:
    _mount("-t", "tmpfs", "-o", "mode=0755", "root", str(root))
    places = [root / name for name in ("tmp", "dev", "proc")]
    for place in places:
        place.mkdir()
    temporary = places[0]
    _mount("-t", "tmpfs", "-o", "mode=1777,size=16m", "tmp", str(temporary))
    for target, source in shown.items():
        _bind(Path(source), root / target.lstrip("/"))
    for name in _DEVICES:
        _bind(Path("/dev", name), root / "dev" / name)
    _mount("-t", "proc", "proc", str(root / "proc"))
    for target, source in written.items():
        _bind(Path(source), root / target.lstrip("/"))
    _protect(root, read_only=True)
    for place in (temporary, root / "proc", *(root / target.lstrip("/") for target in written)):
        _protect(place, read_only=False)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))


def _give_up_rights() -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        _checked(_libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))
    _checked(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    none = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, twice
    _checked(_libc.capset((ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), none))
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def main(plan: dict[str, object]) -> None:
    """Do as planned: never returns."""
    root, shown, written = Path(str(plan["root"])), plan["shown"], plan["written"]
    command, environment = plan["command"], plan["environment"]
    assert isinstance(shown, dict)
    assert isinstance(written, dict)
    assert isinstance(command, list)
    assert isinstance(environment, dict)
    _raise_loopback()
    _build(root, shown, written)
    os.chroot(root)
    os.chdir(str(plan["folder"]))
    _give_up_rights()
    os.execvpe(command[0], command, environment)  # noqa: S606 - to start without a shell is what it is for


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

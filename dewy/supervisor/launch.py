"""
Last step before a supervised program: a script, executed by path.

It runs in the freshly forked child because some things can only be done there
and are not safe between fork and exec in a process with threads: asking the
kernel for SIGTERM when dewy dies, putting the listening sockets at descriptor 3
and up, and writing the program's own pid into LISTEN_PID. It imports nothing of
dewy and becomes the program by exec, so nothing of it stays.

    python -I -S launch.py PARENT CONTROL FD[,FD…]|- PROGRAM [ARGUMENT…]

CONTROL is one end of a socket pair. dewy writes one byte when it has recorded
this process; end of file instead means that dewy is gone. What comes back is
nothing (the exec closes it) or the text of an error.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
FIRST = 3
DESCRIPTORS = "DEWY_DESCRIPTOR_LIMIT"


def die_with_parent(parent: int) -> None:
    """Request SIGTERM at the parent's death; exit if that has already happened."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(0)


def arrange(sources: list[int], control: int) -> int:
    """Move *sources* to descriptors 3, 4, …; return the new number of *control*."""
    import fcntl

    above = FIRST + len(sources)
    control_at = fcntl.fcntl(control, fcntl.F_DUPFD_CLOEXEC, above)
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in sources]
    for target, copy in enumerate(copies, FIRST):
        os.dup2(copy, target, inheritable=True)
    for stray in {control, *sources}:
        if stray >= above:
            os.close(stray)
    return control_at


def reset_signals() -> None:
    """Reset signals that the interpreter ignores; ignored signals survive an exec."""
    for name in ("SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def restore_descriptor_limit() -> None:
    """Give the program the soft limit that dewy itself was started with."""
    limit = os.environ.pop(DESCRIPTORS, "")
    if limit:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit), hard))


def main(parent: int, control: int, descriptors: str, program: list[str]) -> None:
    sources = [] if descriptors == "-" else [int(fd) for fd in descriptors.split(",")]
    die_with_parent(parent)
    control = arrange(sources, control)
    if not os.read(control, 1):
        os._exit(0)
    if sources:
        os.environ["LISTEN_PID"] = str(os.getpid())
    reset_signals()
    restore_descriptor_limit()
    try:
        os.execvp(program[0], program)
    except OSError as exc:
        os.write(control, str(exc.strerror).encode())
        os._exit(127)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])

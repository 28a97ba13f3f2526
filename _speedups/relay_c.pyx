# cython: cdivision=True
"""
Compiled twin of `dewy/_speedups/relay_py.py`; `interface.py` documents both.

This file is what Python sees. The engine, which never holds the GIL, is in the
parts below: a worker takes events (`worker`), accepts clients (`accept`), finds each a
backend (`table`, `connect`), moves bytes (`pump`) and ends connections (`ending`).
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.errno cimport (
    EADDRNOTAVAIL, EAGAIN, ECONNABORTED, ECONNREFUSED, ECONNRESET, EEXIST, EHOSTDOWN,
    EHOSTUNREACH, EINPROGRESS, EINTR, EINVAL, EMFILE, ENETDOWN, ENETUNREACH, ENFILE,
    ENOBUFS, ENOMEM, ENONET, ENOPROTOOPT, ENOSPC, EOPNOTSUPP, EPIPE, EPROTO, ETIMEDOUT,
    errno,
)
from libc.stdint cimport (
    INT64_MAX, int16_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t,
)
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from system cimport *

import os
import socket as sockets

from dewy._speedups import interface

__all__ = ["Relay"]

cdef int TELL_DRAINED = interface.DRAINED
cdef int TELL_SUSPECT = interface.SUSPECT
cdef int TELL_IDLE = interface.IDLE

include "model.pxi"
include "stats.pxi"
include "table.pxi"
include "timers.pxi"
include "pipes.pxi"
include "pump.pxi"
include "journal.pxi"
include "ending.pxi"
include "local_peer.pxi"
include "silence.pxi"
include "parting.pxi"
include "connect.pxi"
include "header.pxi"
include "accept.pxi"
include "worker.pxi"
include "control.pxi"
include "ports.pxi"
include "addresses.pxi"
include "reading.pxi"


cdef class Relay:
    cdef Engine engine
    cdef dict backends  # number: address of its Backend
    cdef int named
    cdef bint launched
    cdef bint closed

    def __cinit__(self):
        # What __dealloc__ would close must not be descriptor 0.
        memset(&self.engine, 0, sizeof(self.engine))
        self.engine.signal = -1
        self.backends = {}

    def __init__(
        self, int threads, *, double idle_timeout=3600.0, int max_connections=0,
        str balance="round-robin", bint proxy_protocol=False,
        double connect_timeout=2.0, double connect_budget=5.0, double backend_wait=0.0,
        int journal=0
    ):
        if balance not in ("round-robin", "least-connections"):
            raise ValueError(
                f"balance is round-robin or least-connections, not {balance!r}"
            )
        if min(threads, max_connections, idle_timeout, backend_wait, journal) < 0:
            raise ValueError(
                "threads, max_connections, idle_timeout, backend_wait and journal "
                "are 0 or more"
            )
        if connect_timeout <= 0 or connect_budget <= 0:
            raise ValueError("connect_timeout and connect_budget are more than 0")
        if self.engine.workers != NULL:
            raise RuntimeError("this relay is set up already")
        self.engine.threads = threads
        self.engine.width = max(threads, 1)
        self.engine.least = balance == "least-connections"
        self.engine.proxy_protocol = proxy_protocol
        self.engine.limit = max_connections
        self.engine.idle_timeout = nanoseconds(idle_timeout)
        self.engine.doubt = self.engine.idle_timeout / LOOKS
        self.engine.connect_timeout = nanoseconds(connect_timeout)
        self.engine.connect_budget = nanoseconds(connect_budget)
        self.engine.backend_wait = nanoseconds(backend_wait)
        self.engine.journal_size = journal
        self.engine.tick_length = tick_for(
            (connect_timeout, connect_budget, idle_timeout, backend_wait)
        )
        check(set_up(&self.engine))

    def __dealloc__(self):
        if self.engine.workers != NULL:
            with nogil:
                if not self.closed:
                    halt(&self.engine)
                tear_down(&self.engine)
        elif self.engine.signal >= 0:
            close(self.engine.signal)

    def start(self):
        if self.closed or self.launched:
            raise RuntimeError("a relay can be started once, and not after its end")
        self.launched = True
        if self.engine.threads:
            check(launch(&self.engine))

    def close(self):
        if self.closed:
            return
        self.closed = True
        with nogil:
            halt(&self.engine)

    def fileno(self):
        if self.engine.threads:
            return self.engine.signal
        return self.engine.workers[0].epoll

    def step(self):
        if not self.engine.threads and self.launched and not self.closed:
            with nogil:
                step_worker(&self.engine.workers[0])
        return take_events(self)

    def ended(self):
        return take_entries(&self.engine)

    def open_port(self, listener, *, bint own=True, bint paused=False):
        if self.closed:
            raise RuntimeError("the relay is closed")
        cdef Port *port
        cdef int fd = listener.fileno()
        cdef bint local = listener.family == sockets.AF_UNIX
        with nogil:
            port = new_port(&self.engine, fd, local, own)
        if port == NULL:
            raise OSError(errno, os.strerror(errno))
        error = 0 if paused else start_listening(port)
        if error < 0:
            self.close_port(port.number)
            check(error)
        return port.number

    def pause(self, int port):
        cdef Port *found = find_port(self, port)
        with nogil:
            stop_listening(found)

    def resume(self, int port):
        cdef Port *found = find_port(self, port)
        if not found.closed and not self.closed:
            check(start_listening(found))

    def close_port(self, int port):
        cdef Port *found = find_port(self, port)
        if found.closed:
            return
        with nogil:
            shut_port(found)

    def add_backend(self, int port, int family, address, *, bint serving=True):
        cdef Port *found = find_port(self, port)
        cdef Backend *b = <Backend *>calloc(1, sizeof(Backend))
        cdef int error
        if b == NULL:
            raise MemoryError
        try:
            b.size = write_address(&b.address, family, address)
        except BaseException:
            free(b)
            raise
        self.named += 1
        b.number = self.named
        enlist(found, b)
        self.backends[b.number] = <uintptr_t>b
        if serving:
            with nogil:
                error = append(found, b)
            check(error)
        return b.number

    def serve(self, int port, backends):
        cdef Port *found = find_port(self, port)
        numbers = list(dict.fromkeys(backends))
        cdef Backend **chosen = <Backend **>malloc(
            (len(numbers) + 1) * sizeof(Backend *)
        )
        cdef Backend *b
        cdef int count = 0, error
        if chosen == NULL:
            raise MemoryError
        try:
            for number in numbers:
                b = find_backend(self, number)
                if b.port != found:
                    raise KeyError(number)
                chosen[count] = b
                count += 1
            with nogil:
                error = install(found, chosen, count)
            check(error)
        finally:
            free(chosen)

    def drain(self, int backend):
        cdef Backend *b = find_backend(self, backend)
        cdef int64_t active
        with nogil:
            active = start_draining(b)
        return active

    def eject(self, int backend):
        cdef Backend *b = find_backend(self, backend)
        with nogil:
            set_ejected(b, True)

    def restore(self, int backend):
        cdef Backend *b = find_backend(self, backend)
        with nogil:
            set_ejected(b, False)

    def recall(self, int backend):
        cdef Backend *b = find_backend(self, backend)
        cdef int64_t count
        with nogil:
            count = command(&self.engine, RECALL, b.port, b)
        return count

    def cut(self, int backend):
        cdef Backend *b = find_backend(self, backend)
        cdef int64_t count
        with nogil:
            count = command(&self.engine, CUT_BACKEND, b.port, b)
        return count

    def cut_port(self, int port):
        cdef Port *found = find_port(self, port)
        cdef int64_t count
        with nogil:
            count = command(&self.engine, CUT_PORT, found, NULL)
        return count

    def remove(self, int backend):
        cdef Backend *b = find_backend(self, backend)
        del self.backends[backend]
        with nogil:
            forget(b)

    def port_stats(self, int port):
        return read_port(find_port(self, port))

    def backend_stats(self, int backend):
        return read_backend(find_backend(self, backend))

    def worker_stats(self):
        return [
            read_worker(&self.engine.workers[index])
            for index in range(self.engine.width)
        ]


cdef Port *find_port(Relay relay, int number) except NULL:
    if not 0 <= number < relay.engine.port_count:
        raise KeyError(number)
    return relay.engine.ports[number]


cdef Backend *find_backend(Relay relay, int number) except NULL:
    return <Backend *><uintptr_t>relay.backends[number]


cdef int check(int result) except -1:
    """Raise what a function without the GIL has to say, if it is negative."""
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


cdef int64_t tick_for(tuple timeouts):
    """A sixteenth of the shortest that is not 0, within 1 and 250 milliseconds."""
    cdef double shortest = min(filter(None, timeouts))
    return nanoseconds(min(max(shortest / 16, 0.001), 0.25))

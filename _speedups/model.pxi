# What the engine is made of.
#
# A connection belongs to the worker that serves it, and only that worker touches
# it. What workers share is a port's table and a few counters; see `table.pxi`.

cdef enum:
    CLIENT = 0  # the sides of a connection
    BACKEND = 1

cdef enum:
    UP = 0  # a flow has the number of the side that it reads
    DOWN = 1

cdef enum State:
    FREE
    HELD  # nothing serves its port yet
    WAITING  # for descriptors or room in a backlog, to try again to connect
    CONNECTING
    OPEN

cdef enum:
    SCRATCH = 65536  # the read buffer of a worker; what fills it is worth a splice
    BATCH = 256  # events fetched at once
    SLAB = 256  # connections allocated at once
    SLOTS = 256  # of the timer wheel
    CONNECT_BUCKETS = 11
    DURATION_BUCKETS = 16

cdef enum:  # in the order of interface.Errors
    REFUSED
    TIMED_OUT
    UNREACHABLE
    NO_ADDRESS
    UNANSWERED
    NO_BACKEND
    RESET_BY_CLIENT
    RESET_BY_BACKEND
    IDLE_TIMEOUT
    CUT
    ACCEPT_FAILED
    CAUSES

cdef union Address:
    sockaddr_storage any
    sockaddr_in inet
    sockaddr_in6 inet6

cdef struct Pipe:
    int ends[2]
    Pipe *next

cdef struct Side:
    int fd
    uint8_t readable  # there may be more to read; else wait for an edge
    uint8_t writable
    uint8_t hung  # RDHUP, HUP or ERR was seen: no further edge, so read to the end
    uint8_t wary  # a short read proves nothing: a Unix socket, or urgent data
    uint8_t local  # a Unix socket: no TCP options, no reset
    uint8_t lost  # a call has had its error: a read of 0 is no proof of an end now
    uint8_t unsure  # a splice may have had its error without telling
    uint8_t sends  # 0, 1, or 2 once TCP_NODELAY is on
    uint16_t life  # tells events of this socket from those of one that was here before

cdef struct Flow:
    char *stuck  # what the sink refused, from offset on; NULL as a rule
    uint32_t offset
    uint32_t length
    Pipe *pipe  # borrowed while a splice is under way or bytes are stuck in it
    uint32_t piped
    uint8_t eof  # the source has ended; what it sent may still be on its way
    uint8_t ended  # and the sink has been told
    uint8_t splicing
    uint8_t small  # turns in a row in which splicing did not pay
    int64_t moved  # bytes written to the sink

cdef struct Conn:
    Side side[2]
    Flow flow[2]
    Conn *next  # in the ready list, the graveyard or the free list
    Conn *earlier  # in its slot of the timer wheel
    Conn *later
    Port *port
    Backend *backend
    int *tried  # numbers of the backends that did not answer
    sockaddr_storage *client  # who it is, for the journal; NULL if there is none
    int64_t accepted_at  # times are in nanoseconds, monotonic
    int64_t sought_at  # since when a backend has been looked for
    int64_t hold_until  # 0: it has not been held
    int64_t attempted_at  # once OPEN: when `signs` or `taken` was seen to change
    int64_t seen_at
    int64_t taken  # bytes sent to the client for good, once `gone`
    int64_t signs  # changes with what peers send and take
    int tries
    int attempts
    int16_t slot  # -1: no timer
    uint8_t state
    uint8_t queued
    uint8_t kept  # its backend's socket has the keepalive options
    uint8_t gone  # its backend broke; the client still takes what that had sent
    uint8_t parched  # there was no local port for it

cdef struct Slab:
    Slab *next
    void *unused  # keeps the connections aligned: the low bits of their addresses
    Conn conns[SLAB]  # tell the sides in epoll's data

cdef struct Backend:
    Port *port
    int number
    socklen_t size
    sockaddr_storage address
    Backend *next  # of the port, whether it serves or not
    uint8_t serving  # this and the rest under the port's lock
    uint8_t draining  # out of the table, with connections open
    uint8_t drained  # told that none is left
    uint8_t ejected
    uint8_t removed
    int64_t active
    int64_t failures
    int64_t suspicions
    int64_t broken
    int64_t total  # atomic: attempts that this host could make
    int64_t bytes[2]  # atomic
    int64_t suspect_told  # atomic
    int64_t parched_until  # atomic: no local port was left towards it

cdef struct Counters:  # of one port at one worker, its only writer
    int64_t accepted
    int64_t bytes[2]
    int64_t retries
    int64_t errors[CAUSES]
    int64_t connects[CONNECT_BUCKETS]
    int64_t connect_time
    int64_t durations[DURATION_BUCKETS]
    int64_t duration_time
    int64_t padding[8]  # keeps workers off each other's cache lines

cdef struct Port:
    Engine *engine
    int number
    int listener
    uint8_t local
    uint8_t guarded  # shared and blocking: ask poll before each accept
    uint8_t told_idle
    int64_t listening  # atomic; so are those below, up to `told`
    int64_t closed
    int64_t open
    int64_t told[CAUSES]  # errors the control plane has not asked about yet
    Counters *counters  # one for each worker
    pthread_mutex_t lock  # round pick-and-count, and whatever changes the table
    Backend *backends  # all that are known
    Backend **table  # those that serve, in order
    Backend **live  # those of the table that are not ejected, or all of it
    int serving
    int living
    int held  # connections that wait for a backend to serve
    int panicking
    int64_t panics
    uint64_t cursor

cdef struct Handover:
    Port *port
    int fd

cdef struct Worker:
    Engine *engine
    int index
    int epoll
    int wake  # eventfd: there are commands, or connections handed over
    int timer  # timerfd, without threads only
    int64_t timer_due
    pthread_t thread
    char *scratch
    int64_t now
    uint64_t random
    Conn *ready  # to be served again before epoll_wait may block
    Conn *ready_tail
    Conn *free
    Conn *buried  # ended in this turn; events of theirs may still be in the batch
    Slab *slabs
    Conn *slots[SLOTS]
    uint64_t occupied[SLOTS / 64]
    int64_t tick  # how many ticks the wheel has turned
    Pipe *pipes
    int pipes_open
    int64_t deaf  # atomic: its listeners are out of the epoll set
    int64_t deaf_until  # 0: until connections end
    uint8_t summoned
    uint64_t obeyed
    pthread_mutex_t lock  # round handovers
    Handover *handovers
    int handed
    int capacity
    int64_t accepted  # atomic, like all below
    int64_t handed_over
    int64_t active
    int64_t pipes_held
    int64_t pipes_pooled
    int64_t buffers_held
    epoll_event batch[BATCH]

cdef struct Happening:
    int kind
    int subject
    int detail

cdef struct Ended:
    int port
    int backend  # 0: it had none
    uint8_t broken
    int64_t moved[2]
    int64_t lasted
    sockaddr_storage client

cdef enum Order:
    STOP_LISTENING
    CUT_BACKEND
    RECALL  # clients of a backend for whom nothing has passed yet
    CUT_PORT
    SEEK_AGAIN  # those held

cdef struct Command:
    Order order
    Port *port
    Backend *backend
    int64_t result

cdef struct Engine:
    int threads
    int started
    int width  # number of workers
    Worker *workers
    int64_t idle_timeout  # nanoseconds; 0: never
    int64_t doubt  # how long calls may rest before the kernel is asked
    int64_t connect_timeout
    int64_t connect_budget
    int64_t backend_wait
    int64_t tick_length
    int64_t limit  # connections at once; 0: any number
    int64_t open  # atomic; kept only if there is a limit
    int64_t stopping  # atomic
    uint8_t least
    uint8_t proxy_protocol
    pthread_mutex_t lock  # round ports, and the command
    pthread_cond_t done
    Port **ports
    int port_count
    Command *command
    uint64_t orders  # how many commands were given
    int outstanding  # workers that have not obeyed the last one
    pthread_mutex_t events_lock
    Happening *events
    int happened
    int events_capacity
    Ended *journal  # NULL if nobody reads it; under the same lock
    int journal_size
    int entries
    int64_t missed
    int signal  # eventfd: there are events, or entries in the journal

"""What the data plane needs of Linux and of the compiler; all of it without the GIL."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from * nogil:
    """
    /* Counters that other threads only read: no order is implied. */
    #define relaxed_load(p) __atomic_load_n((p), __ATOMIC_RELAXED)
    #define relaxed_store(p, n) __atomic_store_n((p), (n), __ATOMIC_RELAXED)
    #define relaxed_add(p, n) __atomic_add_fetch((p), (n), __ATOMIC_RELAXED)
    /* Flags that are weighed against each other by two threads. */
    #define ordered_load(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
    #define ordered_store(p, n) __atomic_store_n((p), (n), __ATOMIC_SEQ_CST)
    #define ordered_swap(p, n) __atomic_exchange_n((p), (n), __ATOMIC_SEQ_CST)
    #define ordered_add(p, n) __atomic_add_fetch((p), (n), __ATOMIC_SEQ_CST)
    #define lowest_bit(n) __builtin_ctzll(n)
    /* struct tcp_info as Linux has it since 5.4 (without `window`: since 4.1); the C
       library's ends before this. */
    struct tcp_figures {
        uint8_t state; uint8_t others[51];
        uint32_t data_ago, ack_ago; uint8_t more[60];
        uint64_t acked, received; uint8_t rest[92];
        uint32_t window;
    };
    /* sock_diag(7): a netlink header, and what follows it. */
    struct diag_request {
        uint32_t size; uint16_t kind, flags; uint32_t sequence, pid;
        uint8_t family, protocol, extensions, pad; uint32_t states;
        uint16_t local_port, remote_port; uint32_t local[4], remote[4];
        uint32_t interface, cookie[2];
    };
    struct diag_answer {
        uint32_t size; uint16_t kind; uint8_t others[66]; uint32_t unread;
    };
    """
    struct diag_request:
        uint32_t size
        uint16_t kind
        uint16_t flags
        uint8_t family
        uint8_t protocol
        uint32_t states
        uint16_t local_port
        uint16_t remote_port
        uint32_t local[4]
        uint32_t remote[4]
        uint32_t cookie[2]
    struct diag_answer:
        uint16_t kind
        uint32_t unread
    struct tcp_figures:
        uint8_t state
        uint32_t data_ago  # milliseconds since data came
        uint32_t ack_ago  # and since an acknowledgement did
        uint64_t acked
        uint64_t received
        uint32_t window
    int64_t relaxed_load(const int64_t *place)
    void relaxed_store(int64_t *place, int64_t value)
    int64_t relaxed_add(int64_t *place, int64_t amount)
    int64_t ordered_load(const int64_t *place)
    void ordered_store(int64_t *place, int64_t value)
    int64_t ordered_swap(int64_t *place, int64_t value)
    int64_t ordered_add(int64_t *place, int64_t amount)
    int lowest_bit(uint64_t bits)

cdef extern from "<sys/types.h>" nogil:
    ctypedef unsigned int socklen_t
    ctypedef long ssize_t

cdef extern from "<sys/socket.h>" nogil:
    enum:
        AF_INET
        AF_INET6
        AF_NETLINK
        AF_UNIX
        MSG_DONTWAIT
        MSG_NOSIGNAL
        MSG_PEEK
        SHUT_WR
        SOCK_CLOEXEC
        SOCK_NONBLOCK
        SOCK_RAW
        SOCK_STREAM
        SOL_SOCKET
        SO_KEEPALIVE
        SO_LINGER

    struct sockaddr:
        unsigned short sa_family

    struct sockaddr_storage:
        unsigned short ss_family

    struct linger:
        int l_onoff
        int l_linger

    int accept4(int fd, sockaddr *address, socklen_t *size, int flags)
    int connect(int fd, const sockaddr *address, socklen_t size)
    int getpeername(int fd, sockaddr *address, socklen_t *size)
    int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
    int getsockname(int fd, sockaddr *address, socklen_t *size)
    int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
    ssize_t recv(int fd, void *buffer, size_t size, int flags)
    ssize_t send(int fd, const void *buffer, size_t size, int flags)
    int shutdown(int fd, int how)
    int socket(int family, int kind, int protocol)

cdef extern from "<netinet/in.h>" nogil:
    enum:
        IPPROTO_TCP

    struct in_addr:
        uint32_t s_addr

    struct in6_addr:
        unsigned char s6_addr[16]

    struct sockaddr_in:
        unsigned short sin_family
        unsigned short sin_port
        in_addr sin_addr

    struct sockaddr_in6:
        unsigned short sin6_family
        unsigned short sin6_port
        uint32_t sin6_flowinfo
        in6_addr sin6_addr
        uint32_t sin6_scope_id

    unsigned short htons(unsigned short value)
    unsigned short ntohs(unsigned short value)
    uint32_t htonl(uint32_t value)

cdef extern from "<netinet/tcp.h>" nogil:
    enum:
        TCP_CLOSE
        TCP_INFO
        TCP_KEEPCNT
        TCP_KEEPIDLE
        TCP_KEEPINTVL
        TCP_NODELAY

cdef extern from "<sys/un.h>" nogil:
    struct sockaddr_un:
        unsigned short sun_family
        char sun_path[108]

cdef extern from "<fcntl.h>" nogil:
    enum:
        F_DUPFD_CLOEXEC
        F_GETFL
        F_GETPIPE_SZ
        F_SETFL
        F_SETPIPE_SZ
        O_CLOEXEC
        O_NONBLOCK
        SPLICE_F_MOVE
        SPLICE_F_NONBLOCK

    int fcntl(int fd, int command, ...)
    ssize_t splice(
        int source, void *source_offset, int sink, void *sink_offset,
        size_t size, unsigned int flags
    )

cdef extern from "<unistd.h>" nogil:
    int close(int fd)
    int pipe2(int *ends, int flags)
    ssize_t read(int fd, void *buffer, size_t size)
    ssize_t write(int fd, const void *buffer, size_t size)

cdef extern from "<sys/ioctl.h>" nogil:
    int ioctl(int fd, unsigned long what, ...)

cdef extern from "<linux/sockios.h>" nogil:
    enum:
        SIOCOUTQ
        SIOCOUTQNSD

cdef extern from "<linux/netlink.h>" nogil:
    enum:
        SOCK_DIAG "NETLINK_SOCK_DIAG"
        NLM_F_REQUEST

cdef extern from "<linux/sock_diag.h>" nogil:
    enum:
        SOCK_DIAG_BY_FAMILY

cdef extern from "<poll.h>" nogil:
    enum:
        POLLIN
        POLLOUT

    struct pollfd:
        int fd
        short events
        short revents

    int poll(pollfd *fds, unsigned long count, int timeout)

cdef extern from "<sys/epoll.h>" nogil:
    enum:
        EPOLLERR
        EPOLLET
        EPOLLEXCLUSIVE
        EPOLLHUP
        EPOLLIN
        EPOLLOUT
        EPOLLPRI
        EPOLLRDHUP
        EPOLL_CLOEXEC
        EPOLL_CTL_ADD
        EPOLL_CTL_DEL

    ctypedef union epoll_data_t:
        uint64_t u64

    struct epoll_event:
        uint32_t events
        epoll_data_t data

    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int what, int fd, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int size, int timeout)

cdef extern from "<sys/eventfd.h>" nogil:
    enum:
        EFD_CLOEXEC
        EFD_NONBLOCK

    int eventfd(unsigned int value, int flags)

cdef extern from "<time.h>" nogil:
    enum:
        CLOCK_MONOTONIC

    struct timespec:
        long tv_sec
        long tv_nsec

    struct itimerspec:
        timespec it_interval
        timespec it_value

    int clock_gettime(int clock, timespec *when)

cdef extern from "<sys/timerfd.h>" nogil:
    enum:
        TFD_CLOEXEC
        TFD_NONBLOCK
        TFD_TIMER_ABSTIME

    int timerfd_create(int clock, int flags)
    int timerfd_settime(int fd, int flags, const itimerspec *when, itimerspec *old)

cdef extern from "<sys/prctl.h>" nogil:
    enum:
        PR_SET_NAME

    int prctl(int what, ...)

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass

    enum:
        SIG_SETMASK

    int sigfillset(sigset_t *signals)

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass

    int pthread_create(
        pthread_t *thread, const void *attributes,
        void *(*run)(void *) noexcept nogil, void *argument
    )
    int pthread_join(pthread_t thread, void **result)
    int pthread_sigmask(int how, const sigset_t *signals, sigset_t *old)
    int pthread_mutex_init(pthread_mutex_t *mutex, const void *attributes)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    int pthread_cond_init(pthread_cond_t *condition, const void *attributes)
    int pthread_cond_destroy(pthread_cond_t *condition)
    int pthread_cond_signal(pthread_cond_t *condition)
    int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)

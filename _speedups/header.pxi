# The PROXY protocol, version 2: who the client is, said before its first byte.
# https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt, section 2.2

cdef enum:
    HEADER_START = 16
    OVER_INET = 0x11  # family and transport
    OVER_INET6 = 0x21

cdef const unsigned char *SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

# ::ffff:0:0/96, which holds IPv4 clients of a dual-stack listener.
cdef const unsigned char *MAPPED = b"\0\0\0\0\0\0\0\0\0\0\xff\xff"


cdef struct Header:
    unsigned char start[HEADER_START]
    unsigned char body[36]


cdef int introduce(Conn *c) noexcept nogil:
    """Send the header to a fresh backend, where there is room for it: 0 or errno."""
    cdef Address client, here
    cdef Header header
    cdef ssize_t sent
    cdef socklen_t client_size = sizeof(Address), here_size = sizeof(Address)
    cdef int size = 0
    memset(&client, 0, sizeof(client))
    memset(&here, 0, sizeof(here))
    memset(&header, 0, sizeof(header))
    if (
        getpeername(c.side[CLIENT].fd, <sockaddr *>&client, &client_size) == 0
        and getsockname(c.side[CLIENT].fd, <sockaddr *>&here, &here_size) == 0
    ):
        size = write_addresses(&header, &client, &here)
    memcpy(header.start, SIGNATURE, 12)
    header.start[12] = 0x21  # version 2, PROXY
    header.start[14] = size >> 8
    header.start[15] = size & 0xFF
    hurry(&c.side[BACKEND], SCRATCH)
    sent = send(c.side[BACKEND].fd, &header, HEADER_START + size, MSG_NOSIGNAL)
    if sent < 0:
        return errno
    return 0 if sent == HEADER_START + size else ENOBUFS


cdef int write_addresses(Header *header, Address *client, Address *here) noexcept nogil:
    """Fill in family and addresses: how many bytes, 0 if there are none to tell."""
    if client.any.ss_family == AF_INET6:
        unmap(client)
        unmap(here)
    if client.any.ss_family != here.any.ss_family:
        return 0
    if client.any.ss_family == AF_INET:
        header.start[13] = OVER_INET
        memcpy(header.body, &client.inet.sin_addr, 4)
        memcpy(header.body + 4, &here.inet.sin_addr, 4)
        memcpy(header.body + 8, &client.inet.sin_port, 2)
        memcpy(header.body + 10, &here.inet.sin_port, 2)
        return 12
    if client.any.ss_family == AF_INET6:
        header.start[13] = OVER_INET6
        memcpy(header.body, &client.inet6.sin6_addr, 16)
        memcpy(header.body + 16, &here.inet6.sin6_addr, 16)
        memcpy(header.body + 32, &client.inet6.sin6_port, 2)
        memcpy(header.body + 34, &here.inet6.sin6_port, 2)
        return 36
    # Clients of a Unix socket have no address that a backend would understand.
    return 0


cdef void unmap(Address *address) noexcept nogil:
    cdef sockaddr_in plain
    if memcmp(&address.inet6.sin6_addr, MAPPED, 12) != 0:
        return
    memset(&plain, 0, sizeof(plain))
    plain.sin_family = AF_INET
    plain.sin_port = address.inet6.sin6_port
    memcpy(&plain.sin_addr, <char *>&address.inet6.sin6_addr + 12, 4)
    address.inet = plain

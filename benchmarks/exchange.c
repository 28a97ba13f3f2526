/*
 * The leanest load for a proxy: clients and backend in one process, one thread.
 *
 *   exchange BACKEND_PORT PROXY_PORT CLIENTS SECONDS
 *
 * Each client sends a request of the size of a small HTTP one, and the next when
 * the answer is there. Prints one JSON object, as report.lua does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST = 48, ANSWER = 160, MOST = 1 << 16, KEPT = 8000000 };
enum role { LISTENER = 1, BACKEND, CLIENT };

static struct peer { enum role role; size_t held; double sent; } peers[MOST];
static float *latencies;
static size_t answered;
static long errors;
static char buffer[65536];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}

static void watch(int set, int fd, enum role role) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    int one = 1;
    if (fd >= MOST) fail("too many descriptors");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    peers[fd] = (struct peer){.role = role};
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
}

static int listen_at(int port) {
    struct sockaddr_in a = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&a, sizeof a) < 0 || listen(fd, 4096) < 0) fail("listen");
    return fd;
}

static void ask(int fd) {
    peers[fd].sent = now();
    if (send(fd, buffer, REQUEST, MSG_NOSIGNAL) != REQUEST) errors++;
}

static void start_client(int set, int port) {
    struct sockaddr_in a = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (void *)&a, sizeof a) < 0) fail("connect to the proxy");
    watch(set, fd, CLIENT);
    ask(fd);
}

static void leave(int fd) {
    if (peers[fd].role == CLIENT) errors++;
    close(fd);
}

static void receive(int fd) {
    struct peer *peer = &peers[fd];
    ssize_t got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return leave(fd);
    peer->held += got;
    if (peer->role == BACKEND && peer->held >= REQUEST) {
        peer->held -= REQUEST;
        send(fd, buffer, ANSWER, MSG_NOSIGNAL);
    } else if (peer->role == CLIENT && peer->held >= ANSWER) {
        peer->held -= ANSWER;
        if (answered < KEPT) latencies[answered] = (float)(now() - peer->sent);
        answered++;
        ask(fd);
    }
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double quantile(double part) {
    size_t count = answered < KEPT ? answered : KEPT;
    return count ? latencies[(size_t)(part * (count - 1))] : 0;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    struct epoll_event events[256];
    int set = epoll_create1(0), listener = listen_at(atoi(argv[1]));
    latencies = malloc(KEPT * sizeof *latencies);
    watch(set, listener, LISTENER);
    for (int i = 0; i < atoi(argv[3]); i++) start_client(set, atoi(argv[2]));

    double begun = now(), until = begun + atof(argv[4]);
    while (now() < until) {
        int count = epoll_wait(set, events, 256, 100);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (peers[fd].role != LISTENER) receive(fd);
            else if ((fd = accept(fd, NULL, NULL)) >= 0) watch(set, fd, BACKEND);
        }
    }
    double seconds = now() - begun;
    qsort(latencies, answered < KEPT ? answered : KEPT, sizeof *latencies, ascending);
    printf("{\"requests\": %zu, \"seconds\": %f, \"p50\": %f, \"p99\": %f, "
           "\"errors\": %ld, \"octets\": %zu}\n",
           answered, seconds, quantile(0.5), quantile(0.99), errors, answered * ANSWER);
    return 0;
}

/* What the two halves of the application share. */
#ifndef APP_H
#define APP_H

#define _GNU_SOURCE
#include <stdatomic.h>
#include <stddef.h>

extern const char *version;
extern atomic_int health;
extern atomic_int connections;
extern atomic_llong closing_at; /* when idle connections go; 0 before SIGTERM */

long number(const char *name, long otherwise);
long long now_ms(void);
void sleep_ms(long ms);
void say(const char *format, ...);
_Noreturn void leave(int code);

void prepare_http(void);
int send_all(int c, const void *data, size_t length);
void *serve(void *connection);

#endif

/* What the load generator needs of the operating system: failing, clocks, sockets, files. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MAX_ANSWER (64 << 20) /* bytes; nothing that is asked for here is answered with more */

/* Prints one line to stderr and ends the program with status 1: one wrong answer makes a measurement worthless. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

double now_s(void);         /* monotonic */
double cpu_used_s(void);    /* user and system time of this process, all threads */
void sleep_until(double when_s);

void *allocate(size_t size);
uint8_t *read_file(const char *path, size_t *size);

int dial(const char *host, int port); /* a connected, blocking socket with TCP_NODELAY */
void set_nonblocking(int socket);
void send_all(int socket, const uint8_t *bytes, size_t size);

/* One frame without its length, into `buffer` of MAX_ANSWER bytes; returns the size. */
size_t receive_frame(int socket, uint8_t *buffer);

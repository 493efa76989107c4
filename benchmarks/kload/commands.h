/* The load generator's commands. Each prints one line of JSON to stdout, or fails the program. */
#pragma once

#include <stdint.h>

struct options {
    const char *host;
    int port;
    const char *topic;
    const char *batch_path;  /* a record batch v2, as batches.py makes them */
    int32_t records;         /* in that batch */
    int16_t acks;            /* 1 or -1: every request is answered */
    int depth;               /* requests in flight on one connection */
    int connections;
    int32_t partitions;
    double seconds;
    int64_t max_bytes;       /* of batches, all connections together; 0: no bound */
    int32_t fetch_bytes;     /* partition_max_bytes */
    double interval_ms;      /* between two single records */
    int count;               /* of single records */
};

void produce(const struct options *options); /* as many batches as go through within a time or a number of bytes */
void fetch(const struct options *options);   /* reads partitions over and over */
void latency(const struct options *options); /* from sending one record to its arrival at a waiting consumer */
void commit(const struct options *options);  /* offsets, by groups without members */
void verify(const struct options *options);  /* reads partitions back and compares each byte with the batch sent */

/* Latencies, kept one by one up to a bound, for exact percentiles. */
#pragma once

#include <stddef.h>

struct samples {
    double *seconds;
    size_t count, capacity; /* what comes after `capacity` samples is not kept */
};

void samples_open(struct samples *s, size_t capacity);
void samples_add(struct samples *s, double seconds);
void samples_sort(struct samples *s);

/* In milliseconds; `fraction` in [0, 1]; 0 without samples. The samples must be sorted. */
double percentile_ms(const struct samples *s, double fraction);

#include "samples.h"

#include "system.h"

#include <stdlib.h>

void samples_open(struct samples *s, size_t capacity) {
    s->seconds = allocate(capacity * sizeof *s->seconds);
    s->count = 0;
    s->capacity = capacity;
}

void samples_add(struct samples *s, double seconds) {
    if (s->count < s->capacity)
        s->seconds[s->count++] = seconds;
}

static int ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

void samples_sort(struct samples *s) { qsort(s->seconds, s->count, sizeof *s->seconds, ascending); }

double percentile_ms(const struct samples *s, double fraction) {
    if (s->count == 0)
        return 0;
    return s->seconds[(size_t)((double)(s->count - 1) * fraction)] * 1e3;
}

/* Latencies, in buckets of at most 1.6 % of their value. */
#include <string.h>

#include "run.h"

enum { HALF = 64, BUCKETS = HALF * 58 };

static uint64_t counts[BUCKETS], total;

void measured(uint64_t ns) {
    if (!run.timed)
        return;
    int top = 63 - __builtin_clzll(ns | 1);
    int drop = top > 6 ? top - 6 : 0; /* the seven highest bits are kept */
    counts[(uint64_t)drop * HALF + (ns >> drop)]++;
    total++;
}

/* The latency below which this part of all lies, ns; 0 if nothing was measured. */
uint64_t quantile(double part) {
    uint64_t wanted = (uint64_t)(part * (double)total), seen = 0;
    for (uint64_t bucket = 0; bucket < BUCKETS; bucket++)
        if ((seen += counts[bucket]) > wanted) {
            uint64_t drop = bucket < 2 * HALF ? 0 : bucket / HALF - 1;
            return (bucket - drop * HALF) << drop;
        }
    return 0;
}

void forget_latencies(void) {
    memset(counts, 0, sizeof counts);
    total = 0;
}

// Times in buckets a 64th apart: a percentile is right to within 1.6 %, whatever its size.

#pragma once

#include <stdint.h>

#define HISTOGRAM_STEPS 64
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * 36)

struct histogram {
  uint64_t counts[HISTOGRAM_BUCKETS];
  uint64_t total;
  uint64_t greatest;
};

static inline uint32_t histogram_bucket(uint64_t value) {
  if (value < HISTOGRAM_STEPS) return (uint32_t)value;
  uint32_t shift = 57 - (uint32_t)__builtin_clzll(value);
  uint32_t bucket = shift * HISTOGRAM_STEPS + (uint32_t)(value >> shift);
  return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static inline void histogram_add(struct histogram *histogram, uint64_t value) {
  histogram->counts[histogram_bucket(value)]++;
  histogram->total++;
  if (value > histogram->greatest) histogram->greatest = value;
}

// The least value of the bucket in which so much of a million of the values have been passed.
static inline uint64_t histogram_percentile(const struct histogram *histogram, uint64_t millionths) {
  uint64_t wanted = (histogram->total * millionths + 999999) / 1000000, passed = 0;
  for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
    passed += histogram->counts[bucket];
    if (passed < wanted || passed == 0) continue;
    if (bucket < 2 * HISTOGRAM_STEPS) return bucket;
    uint32_t shift = bucket / HISTOGRAM_STEPS - 1;
    return (uint64_t)(bucket - shift * HISTOGRAM_STEPS) << shift;
  }
  return histogram->greatest;
}

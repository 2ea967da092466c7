/* exp, tanh and erf of float32 as straight lines of arithmetic that a compiler vectorises. */

#include <stdint.h>
#include <string.h>

static inline float power_of_two(int32_t n) {
  int32_t bits = (n + 127) << 23;
  float y;
  memcpy(&y, &bits, 4);
  return y;
}

/* exp(x) = 2^n exp(r), |r| <= ln2 / 2; Taylor to the sixth power, 1 ulp or so. */
static inline float fast_exp(float x) {
  x = x < -87.f ? -87.f : x > 88.f ? 88.f : x;
  float n = __builtin_rintf(x * 1.44269504f);
  float r = x - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 1.f / 720;
  p = p * r + 1.f / 120;
  p = p * r + 1.f / 24;
  p = p * r + 1.f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.f;
  p = p * r + 1.f;
  return p * power_of_two((int32_t)n);
}

static inline float fast_tanh(float x) { return 1.f - 2.f / (fast_exp(2.f * x) + 1.f); }

/* Abramowitz and Stegun 7.1.26, |error| <= 1.5e-7. */
static inline float fast_erf(float x) {
  float z = x < 0 ? -x : x;
  float t = 1.f / (1.f + 0.3275911f * z);
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  float y = 1.f - p * t * fast_exp(-z * z);
  return x < 0 ? -y : y;
}

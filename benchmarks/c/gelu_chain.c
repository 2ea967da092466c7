/* y = gelu(x a + b) c + d, exactly and by tanh. */

#include "vector_math.h"

void gelu(const float *x, float *y, long n, float a, float b, float c, float d) {
  for (long i = 0; i < n; i++) {
    float z = x[i] * a + b;
    y[i] = 0.5f * z * (1 + fast_erf(z * 0.70710678f)) * c + d;
  }
}

void gelu_tanh(const float *x, float *y, long n, float a, float b, float c, float d) {
  for (long i = 0; i < n; i++) {
    float z = x[i] * a + b;
    float u = 0.79788456f * (z + 0.044715f * z * z * z);
    y[i] = 0.5f * z * (1 + fast_tanh(u)) * c + d;
  }
}

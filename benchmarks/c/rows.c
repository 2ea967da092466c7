/* Softmax, and layer norm with its gradients, row by row. */

#include <math.h>

#include "vector_math.h"

void softmax(const float *x, float *y, long rows, long n) {
  for (long r = 0; r < rows; r++, x += n, y += n) {
    float top = x[0], sum = 0;
    for (long i = 0; i < n; i++) top = x[i] > top ? x[i] : top;
    for (long i = 0; i < n; i++) {
      y[i] = fast_exp(x[i] - top);
      sum += y[i];
    }
    float scale = 1 / sum;
    for (long i = 0; i < n; i++) y[i] *= scale;
  }
}

/* gx = s (h - mean h - z mean(h z)) with h = g w, z = (x - mean) s. */
void layer_norm(const float *x, const float *w, const float *b, const float *g, float *y,
                float *gx, float *gw, float *gb, long rows, long n) {
  for (long i = 0; i < n; i++) gw[i] = gb[i] = 0;
  for (long r = 0; r < rows; r++, x += n, g += n, y += n, gx += n) {
    float mean = 0, square = 0, first = 0, second = 0;
    for (long i = 0; i < n; i++) mean += x[i];
    mean /= n;
    for (long i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
    float s = 1 / sqrtf(square / n + 1e-5f);
    for (long i = 0; i < n; i++) {
      float z = (x[i] - mean) * s, h = g[i] * w[i];
      y[i] = z * w[i] + b[i];
      first += h;
      second += h * z;
      gw[i] += g[i] * z;
      gb[i] += g[i];
    }
    first /= n;
    second /= n;
    for (long i = 0; i < n; i++) {
      float z = (x[i] - mean) * s;
      gx[i] = s * (g[i] * w[i] - first - z * second);
    }
  }
}

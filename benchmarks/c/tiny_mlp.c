/* A training step of 2-8-8-1 with tanh, mean squared error and Adam. A sample's 8 hidden
   numbers are one vector, so that sums over the batch stay in registers. */

#include <math.h>

#include "vector_math.h"

enum { B = 32, I = 2, H = 8 };

static inline void transposed(const float *w, float *wt) {
  for (int j = 0; j < H; j++)
    for (int i = 0; i < H; i++) wt[i * H + j] = w[j * H + i];
}

/* y[k] = tanh(x[k] wt + b) */
static inline void layer(int n, const float *x, const float *wt, const float *b, float *y) {
  for (int k = 0; k < B; k++) {
    float s[H];
    for (int j = 0; j < H; j++) s[j] = b[j];
    for (int i = 0; i < n; i++)
      for (int j = 0; j < H; j++) s[j] += x[k * n + i] * wt[i * H + j];
    for (int j = 0; j < H; j++) y[k * H + j] = s[j];
  }
  for (int k = 0; k < B * H; k++) y[k] = fast_tanh(y[k]);
}

/* The last layer, its loss, and the gradient in its inputs' sums; y holds gy. */
static inline float head(const float *h, const float *w, const float *b, const float *t,
                         float *y, float *g) {
  float total = 0;
  for (int k = 0; k < B; k++) {
    float s = *b;
    for (int j = 0; j < H; j++) s += h[k * H + j] * w[j];
    y[k] = s - t[k];
  }
  for (int k = 0; k < B; k++) total += y[k] * y[k], y[k] *= 2.f / B;
  for (int k = 0; k < B; k++)
    for (int j = 0; j < H; j++) {
      float a = h[k * H + j];
      g[k * H + j] = y[k] * w[j] * (1 - a * a);
    }
  return total / B;
}

/* gwt[i] = sum_k x[k, i] g[k], gb = sum_k g[k] */
static inline void weights(int n, const float *x, const float *g, float *gwt, float *gb) {
  for (int j = 0; j < H; j++) gb[j] = 0;
  for (int j = 0; j < n * H; j++) gwt[j] = 0;
  for (int k = 0; k < B; k++) {
    for (int j = 0; j < H; j++) gb[j] += g[k * H + j];
    for (int i = 0; i < n; i++)
      for (int j = 0; j < H; j++) gwt[i * H + j] += x[k * n + i] * g[k * H + j];
  }
}

/* gx[k] = (g[k] w) (1 - h[k]^2) */
static inline void inputs(const float *g, const float *w, const float *h, float *gx) {
  for (int k = 0; k < B; k++) {
    float s[H] = {0};
    for (int j = 0; j < H; j++)
      for (int i = 0; i < H; i++) s[i] += g[k * H + j] * w[j * H + i];
    for (int i = 0; i < H; i++) {
      float a = h[k * H + i];
      gx[k * H + i] = s[i] * (1 - a * a);
    }
  }
}

static inline void adam(int n, float *p, float *m, float *v, const float *g, float rate,
                        float root) {
  for (int i = 0; i < n; i++) {
    m[i] += 0.1f * (g[i] - m[i]);
    v[i] += 0.001f * (g[i] * g[i] - v[i]);
    p[i] -= rate * m[i] / (sqrtf(v[i]) * root + 1e-8f);
  }
}

/* Parameters lie in one array: w1 (2, 8), b1, w2 (8, 8), b2, w3, b3, and so do m and v. */
enum { W1 = 0, B1 = I * H, W2 = B1 + H, B2 = W2 + H * H, W3 = B2 + H, B3 = W3 + H };

static void step(const float *x, const float *t, float *loss, float *count, float *p,
                 float *m, float *v) {
  float h1[B * H], h2[B * H], y[B], g1[B * H], g2[B * H], g[B3 + 1], w2[H * H];
  transposed(p + W2, w2);
  layer(I, x, p + W1, p + B1, h1);
  layer(H, h1, p + W2, p + B2, h2);
  *loss = head(h2, p + W3, p + B3, t, y, g2);
  for (int j = 0; j < H; j++) g[W3 + j] = 0;
  g[B3] = 0;
  for (int k = 0; k < B; k++)
    for (int j = 0; j < H; j++) g[W3 + j] += y[k] * h2[k * H + j];
  for (int k = 0; k < B; k++) g[B3] += y[k];
  weights(H, h1, g2, g + W2, g + B2);
  inputs(g2, w2, h1, g1);
  weights(I, x, g1, g + W1, g + B1);
  *count += 1;
  float rate = 1e-3f / (1 - expf(*count * -0.105360516f)); /* 0.9^count */
  float root = 1 / sqrtf(1 - expf(*count * -1.00050033e-3f));
  adam(B3 + 1, p, m, v, g, rate, root);
}

void steps(const float *x, const float *t, float *loss, float *count, float *p, float *m,
           float *v, long n) {
  while (n--) step(x, t, loss, count, p, m, v);
}

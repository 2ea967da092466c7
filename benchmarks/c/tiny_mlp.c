/* A training step of 2-8-8-1 with tanh, mean squared error and Adam; arrays run along the
   batch of 32, so that every inner loop is two vectors. */

#include <math.h>

#include "vector_math.h"

enum { B = 32, I = 2, H = 8 };

/* y[j] = sum_i w[j, i] x[i] + b[j] */
static inline void linear(int n, int m, const float *w, const float *b, const float *x,
                          float *y) {
  for (int j = 0; j < m; j++) {
    float s[B];
    for (int k = 0; k < B; k++) s[k] = b[j];
    for (int i = 0; i < n; i++)
      for (int k = 0; k < B; k++) s[k] += w[j * n + i] * x[i * B + k];
    for (int k = 0; k < B; k++) y[j * B + k] = s[k];
  }
}

static inline void squash(float *h) {
  for (int k = 0; k < H * B; k++) h[k] = fast_tanh(h[k]);
}

/* gw[j, i] = g[j] . x[i], gb[j] = sum g[j] */
static inline void weights(int n, int m, const float *g, const float *x, float *gw,
                           float *gb) {
  for (int j = 0; j < m; j++) {
    float s = 0;
    for (int k = 0; k < B; k++) s += g[j * B + k];
    gb[j] = s;
    for (int i = 0; i < n; i++) {
      float d = 0;
      for (int k = 0; k < B; k++) d += g[j * B + k] * x[i * B + k];
      gw[j * n + i] = d;
    }
  }
}

/* gx[i] = (sum_j w[j, i] g[j]) (1 - h[i]^2) */
static inline void inputs(int n, int m, const float *w, const float *g, const float *h,
                          float *gx) {
  for (int i = 0; i < n; i++) {
    float s[B] = {0};
    for (int j = 0; j < m; j++)
      for (int k = 0; k < B; k++) s[k] += w[j * n + i] * g[j * B + k];
    for (int k = 0; k < B; k++) {
      float y = h[i * B + k];
      gx[i * B + k] = s[k] * (1 - y * y);
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

void step(const float *x, const float *t, float *loss, float *count, float *w1, float *b1,
          float *w2, float *b2, float *w3, float *b3, float *mw1, float *mb1, float *mw2,
          float *mb2, float *mw3, float *mb3, float *vw1, float *vb1, float *vw2,
          float *vb2, float *vw3, float *vb3) {
  float h1[H * B], h2[H * B], y[B], g1[H * B], g2[H * B], total = 0;
  float gw1[H * I], gb1[H], gw2[H * H], gb2[H], gw3[H], gb3[1];
  linear(I, H, w1, b1, x, h1);
  squash(h1);
  linear(H, H, w2, b2, h1, h2);
  squash(h2);
  linear(H, 1, w3, b3, h2, y);
  for (int k = 0; k < B; k++) {
    float d = y[k] - t[k];
    total += d * d;
    y[k] = 2 * d / B;
  }
  *loss = total / B;
  weights(H, 1, y, h2, gw3, gb3);
  inputs(H, 1, w3, y, h2, g2);
  weights(H, H, g2, h1, gw2, gb2);
  inputs(H, H, w2, g2, h1, g1);
  weights(I, H, g1, x, gw1, gb1);
  *count += 1;
  float rate = 1e-3f / (1 - powf(0.9f, *count));
  float root = 1 / sqrtf(1 - powf(0.999f, *count));
  adam(H * I, w1, mw1, vw1, gw1, rate, root);
  adam(H, b1, mb1, vb1, gb1, rate, root);
  adam(H * H, w2, mw2, vw2, gw2, rate, root);
  adam(H, b2, mb2, vb2, gb2, rate, root);
  adam(H, w3, mw3, vw3, gw3, rate, root);
  adam(1, b3, mb3, vb3, gb3, rate, root);
}

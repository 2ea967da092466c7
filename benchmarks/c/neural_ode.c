/* Runge-Kutta 4 through tanh(y w1 + b1) w2 + b2 and the gradient of the end's square: the
   path is kept, each step's inner values are computed again on the way back. Inner loops
   run along the batch where it is large, along the 16 hidden numbers where it is one. */

#include "vector_math.h"

enum { H = 16, LANES = 16 };

typedef struct {
  const float *w1, *b1, *w2, *b2;
  float *gw1, *gb1, *gw2, *gb2;
} Net;

/* A group of up to LANES members of the batch: two numbers each. */
typedef float Pair[2][LANES];
typedef float Hidden[H][LANES];

static inline void slope(const Net *n, int lanes, Pair y, Hidden h, Pair out) {
  for (int k = 0; k < lanes; k++) out[0][k] = n->b2[0], out[1][k] = n->b2[1];
  for (int j = 0; j < H; j++)
    for (int k = 0; k < lanes; k++) {
      h[j][k] = fast_tanh(y[0][k] * n->w1[j] + y[1][k] * n->w1[H + j] + n->b1[j]);
      out[0][k] += h[j][k] * n->w2[2 * j];
      out[1][k] += h[j][k] * n->w2[2 * j + 1];
    }
}

/* gy += g through the slope at y with hidden h; parameters' gradients are added. */
static inline void pull(const Net *n, int lanes, Pair y, Hidden h, Pair g, Pair gy) {
  for (int c = 0; c < 2; c++)
    for (int k = 0; k < lanes; k++) n->gb2[c] += g[c][k];
  for (int j = 0; j < H; j++) {
    float w0 = 0, w1 = 0, b = 0, o0 = 0, o1 = 0;
    for (int k = 0; k < lanes; k++) {
      float t = h[j][k];
      float d = (g[0][k] * n->w2[2 * j] + g[1][k] * n->w2[2 * j + 1]) * (1 - t * t);
      o0 += t * g[0][k], o1 += t * g[1][k];
      w0 += d * y[0][k], w1 += d * y[1][k], b += d;
      gy[0][k] += d * n->w1[j], gy[1][k] += d * n->w1[H + j];
    }
    n->gw1[j] += w0, n->gw1[H + j] += w1, n->gb1[j] += b;
    n->gw2[2 * j] += o0, n->gw2[2 * j + 1] += o1;
  }
}

static inline void along(int lanes, Pair y, float s, Pair d, Pair out) {
  for (int c = 0; c < 2; c++)
    for (int k = 0; k < lanes; k++) out[c][k] = y[c][k] + s * d[c][k];
}

typedef struct {
  Pair y[4], d[4];
  Hidden h[4];
} Stages;

static inline void stages(const Net *n, int lanes, float s, Pair y, Stages *w) {
  const float at[4] = {0, 0.5f * s, 0.5f * s, s};
  along(lanes, y, 0, y, w->y[0]);
  for (int i = 0; i < 4; i++) {
    if (i) along(lanes, y, at[i], w->d[i - 1], w->y[i]);
    slope(n, lanes, w->y[i], w->h[i], w->d[i]);
  }
}

/* g, the gradient at a step's end, becomes the one at its start. */
static inline void back(const Net *n, int lanes, float s, Stages *w, Pair g) {
  const float share[4] = {s / 6, s / 3, s / 3, s / 6}, at[4] = {0, 0.5f * s, 0.5f * s, s};
  Pair start, gd, gy = {{0}};
  along(lanes, g, 0, g, start);
  for (int i = 3; i >= 0; i--) {
    for (int c = 0; c < 2; c++)
      for (int k = 0; k < lanes; k++)
        gd[c][k] = share[i] * start[c][k] + (i < 3 ? at[i + 1] * gy[c][k] : 0);
    for (int c = 0; c < 2; c++)
      for (int k = 0; k < lanes; k++) gy[c][k] = 0;
    pull(n, lanes, w->y[i], w->h[i], gd, gy);
    along(lanes, g, 1, gy, g);
  }
}

static inline void group(const Net *n, int lanes, const float *start, float *loss,
                         float *path, long batch, long steps, float s) {
  Pair y, g;
  Stages w;
  for (int c = 0; c < 2; c++)
    for (int k = 0; k < lanes; k++) y[c][k] = start[c * batch + k];
  for (long t = 0; t < steps; t++) {
    for (int c = 0; c < 2; c++)
      for (int k = 0; k < lanes; k++) path[(t * 2 + c) * batch + k] = y[c][k];
    stages(n, lanes, s, y, &w);
    for (int i = 0; i < 4; i++)
      along(lanes, y, i == 0 || i == 3 ? s / 6 : s / 3, w.d[i], y);
  }
  for (int c = 0; c < 2; c++)
    for (int k = 0; k < lanes; k++) *loss += y[c][k] * y[c][k], g[c][k] = 2 * y[c][k];
  for (long t = steps - 1; t >= 0; t--) {
    for (int c = 0; c < 2; c++)
      for (int k = 0; k < lanes; k++) y[c][k] = path[(t * 2 + c) * batch + k];
    stages(n, lanes, s, y, &w);
    back(n, lanes, s, &w, g);
  }
}

void gradient(const float *start, const float *w1, const float *b1, const float *w2,
              const float *b2, float *loss, float *gw1, float *gb1, float *gw2, float *gb2,
              float *path, long batch, long steps, float s) {
  Net n = {w1, b1, w2, b2, gw1, gb1, gw2, gb2};
  *loss = gb2[0] = gb2[1] = 0;
  for (int j = 0; j < 2 * H; j++) gw1[j] = gw2[j] = 0;
  for (int j = 0; j < H; j++) gb1[j] = 0;
  long b = 0;
  for (; b + LANES <= batch; b += LANES)
    group(&n, LANES, start + b, loss, path + b, batch, steps, s);
  for (; b < batch; b++) group(&n, 1, start + b, loss, path + b, batch, steps, s);
}

/* x_i += s sin(x_(i+1) - x_i) again and again, and the gradient of the sum of cubes. */

#include <math.h>

void gradient(const float *start, float *path, float *value, float *g, long n, long steps,
              float s) {
  float d[256];
  for (long i = 0; i < n; i++) path[i] = start[i];
  for (long t = 0; t < steps; t++) {
    const float *x = path + t * n;
    float *y = path + (t + 1) * n;
    for (long i = 0; i < n - 1; i++) y[i] = x[i] + s * sinf(x[i + 1] - x[i]);
    y[n - 1] = x[n - 1] + s * sinf(x[0] - x[n - 1]);
  }
  const float *y = path + steps * n;
  *value = 0;
  for (long i = 0; i < n; i++) *value += y[i] * y[i] * y[i], g[i] = 3 * y[i] * y[i];
  for (long t = steps - 1; t >= 0; t--) {
    const float *x = path + t * n;
    for (long i = 0; i < n - 1; i++) d[i + 1] = s * cosf(x[i + 1] - x[i]) * g[i];
    d[0] = s * cosf(x[0] - x[n - 1]) * g[n - 1];
    for (long i = 0; i < n - 1; i++) g[i] += d[i] - d[i + 1];
    g[n - 1] += d[n - 1] - d[0];
  }
}

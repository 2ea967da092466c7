/* Stochastic gradient descent on (w x - y)^2, a sample at a time. */

void sgd_line(const float *start, const float *xs, const float *ys, long n, float rate,
              float *out) {
  float w = *start;
  for (long i = 0; i < n; i++) w -= rate * 2 * (w * xs[i] - ys[i]) * xs[i];
  *out = w;
}

/* Batch norm in channels_last: vectors hold V <= C channels.
 *
 * Moments of M positions of C channels: mean, and the mean square of what differs from it. Of every 64 positions
 * first the mean, then the squares around it; blocks and groups are joined by Chan, Golub and LeVeque's formula. */
typedef struct {
    long M, C, units;
    const REAL *x;
    REAL *partial; /* [group][mean, squares][channel] */
} moments_plan;

static void moments_group(const void *given, long task, REAL *scratch) {
    (void)scratch;
    const moments_plan *p = given;
    long first = task * p->units, last = MIN(first + p->units, p->M);
    for (long b = 0; b < up(p->C, V); b++) {
        long c = MIN(b * V, p->C - V);
        vec mean = {0}, squares = {0};
        for (long at = first; at < last; at += 64L) {
            long count = MIN(64L, last - at), before = at - first;
            const REAL *x = p->x + at * p->C + c;
            vec part[4] = {{0}, {0}, {0}, {0}}, more[4] = {{0}, {0}, {0}, {0}};
            long i = 0;
            for (; i + 4 <= count; i += 4) UNROLL for (int k = 0; k < 4; k++) part[k] += load(x + (i + k) * p->C);
            for (; i < count; i++) part[0] += load(x + i * p->C);
            vec own = ((part[0] + part[1]) + (part[2] + part[3])) / splat((REAL)count);
            for (i = 0; i + 4 <= count; i += 4)
                UNROLL for (int k = 0; k < 4; k++) {
                    vec d = load(x + (i + k) * p->C) - own;
                    more[k] += d * d;
                }
            for (; i < count; i++) {
                vec d = load(x + i * p->C) - own;
                more[0] += d * d;
            }
            vec d = own - mean;
            squares += (more[0] + more[1]) + (more[2] + more[3]) +
                       d * d * splat((REAL)before * (REAL)count / (REAL)(before + count));
            mean += d * splat((REAL)count / (REAL)(before + count));
        }
        store(p->partial + task * 2 * p->C + c, mean);
        store(p->partial + (task * 2 + 1) * p->C + c, squares);
    }
}

int moments(const long *n, const REAL *x, REAL *mean, REAL *variance, fork_join team, int threads) {
    moments_plan p = {n[0], n[1], MAX(64L, up(up(n[0], 64), 64L) * 64L), x, 0};
    long groups = up(p.M, p.units);
    p.partial = malloc((size_t)(groups * 2 * p.C) * sizeof(REAL));
    if (!p.partial) return 1;
    job j = {0, moments_group, &p, groups, 0, V};
    int failed = launch(&j, team, threads);
    for (long c = 0; c < p.C; c++) {
        double m = 0, squares = 0, before = 0;
        for (long g = 0; g < groups; g++) {
            double count = (double)MIN(p.units, p.M - g * p.units), d = p.partial[g * 2 * p.C + c] - m;
            squares += p.partial[(g * 2 + 1) * p.C + c] + d * d * before * count / (before + count);
            before += count;
            m += d * count / before;
        }
        mean[c] = (REAL)m;
        variance[c] = (REAL)(squares / (double)p.M);
    }
    free(p.partial);
    return failed;
}

/* dx <- a dx + b (x - mean) + c, by channel: the gradient through a batch norm, in place */
typedef struct {
    long M, C, units;
    REAL *dx;
    const REAL *x, *mean, *a, *b, *c;
} through_plan;

static void through_group(const void *given, long task, REAL *scratch) {
    (void)scratch;
    const through_plan *p = given;
    long first = task * p->units, last = MIN(first + p->units, p->M), full = p->C / V * V;
    for (long k = 0; k < full; k += V) {
        vec mean = load(p->mean + k), a = load(p->a + k), b = load(p->b + k), c = load(p->c + k);
        for (long i = first; i < last; i++) {
            REAL *to = p->dx + i * p->C + k;
            store(to, a * load(to) + (b * (load(p->x + i * p->C + k) - mean) + c));
        }
    }
    for (long k = full; k < p->C; k++)
        for (long i = first; i < last; i++) {
            REAL *to = p->dx + i * p->C + k;
            *to = p->a[k] * *to + (p->b[k] * (p->x[i * p->C + k] - p->mean[k]) + p->c[k]);
        }
}

int through(const long *n, REAL *dx, const REAL *x, const REAL *const *norm, fork_join team, int threads) {
    through_plan p = {n[0], n[1], MAX(64L, up(n[0], 64)), dx, x, norm[0], norm[1], norm[2], norm[3]};
    job j = {0, through_group, &p, up(p.M, p.units), 0, V};
    return launch(&j, team, threads);
}
